/* Groups of clusters: a cut of the merge tree, changed by hand, with undo. */
class Grouping {
  constructor(data) {
    this.names = data.label_names;
    this.colours = data.label_colours;
    this.tree = data.tree;
    this.sizes = data.label_pixels;
    this.count = this.names.length;
    this.history = [];
    this.groups = [];
    this.cut = this.count;
    this.own = new Map();  // names and colours that were given by hand, by the members of the group
  }

  static key(members) { return members.join(","); }

  /* A group of these clusters, in the colour of the largest, under a name given before or a default one. */
  make(members, name = null) {
    members = [...members].sort((a, b) => a - b);
    const own = this.own.get(Grouping.key(members)) || {};
    const largest = members.reduce((best, k) => (this.sizes[k] > this.sizes[best] ? k : best), members[0]);
    return { members, name: own.name ?? name ?? null, colour: own.colour ?? this.colours[largest] };
  }

  nameAll() {
    const taken = new Set(this.groups.map((g) => g.name).filter((n) => n !== null));
    this.groups.forEach((group, index) => {
      if (group.name !== null) return;
      let name = group.members.length === 1 ? this.names[group.members[0]] : `group ${index}`;
      for (let i = index + 1; taken.has(name); i++) name = `group ${i}`;
      group.name = name;
      taken.add(name);
    });
    this.groupOf = new Int32Array(this.count);
    this.groups.forEach((group, index) => group.members.forEach((k) => { this.groupOf[k] = index; }));
  }

  remember() {
    this.history.push(JSON.stringify({ groups: this.groups, cut: this.cut, own: [...this.own] }));
    if (this.history.length > 200) this.history.shift();
  }

  undo() {
    if (!this.history.length) return false;
    const before = JSON.parse(this.history.pop());
    this.groups = before.groups;
    this.cut = before.cut;
    this.own = new Map(before.own);
    this.nameAll();
    return true;
  }

  setGroups(list) {
    this.groups = list.map(({ name, members }) => this.make(members, name));
    this.nameAll();
  }

  /* Clusters under each of the nodes that a cut into so many groups leaves, by their first cluster. */
  cutMembers(numGroups) {
    const nodes = this.names.map((_, k) => [k]), open = new Set(nodes.keys());
    for (let m = 0; this.tree && m < this.count - numGroups; m++) {
      const [a, b] = this.tree.pairs[m];
      nodes.push([...nodes[a], ...nodes[b]].sort((x, y) => x - y));
      open.delete(a);
      open.delete(b);
      open.add(nodes.length - 1);
    }
    return [...open].map((node) => nodes[node]).sort((x, y) => x[0] - y[0]);
  }

  setCut(numGroups) {
    this.cut = numGroups;
    this.groups = this.cutMembers(numGroups).map((members) => this.make(members));
    this.nameAll();
  }

  merge(indices) {
    const chosen = new Set(indices), members = indices.flatMap((i) => this.groups[i].members);
    const largest = indices.reduce((best, i) => (this.pixels(i) > this.pixels(best) ? i : best), indices[0]);
    const { name, colour } = this.groups[largest];
    const place = Math.min(...indices), single = this.groups[largest].members.length === 1 && !this.own.has(Grouping.key(this.groups[largest].members));
    const merged = { members: members.sort((a, b) => a - b), name: single ? null : name, colour };
    this.groups = this.groups.map((g, i) => (i === place ? merged : g)).filter((_, i) => i === place || !chosen.has(i));
    this.nameAll();
    return this.groups.indexOf(merged);
  }

  split(indices) {
    const chosen = new Set(indices);
    this.groups = this.groups.flatMap((g, i) => (chosen.has(i) ? g.members.map((k) => this.make([k])) : [g]));
    this.nameAll();
  }

  pixels(index) { return this.groups[index].members.reduce((sum, k) => sum + this.sizes[k], 0); }

  rename(index, name) {
    if (!name.trim()) return "a group needs a name";
    const other = this.groups.findIndex((g, i) => i !== index && g.name === name);
    if (other >= 0) return `there is a group “${name}” already; merge the two, or give another name`;
    const group = this.groups[index], single = /^cluster (\d+)$/.exec(name);
    if (single && Number(single[1]) < this.count && Grouping.key(group.members) !== single[1])
      return `“${name}” is the name of a single cluster; give another name`;
    group.name = name;
    this.note(group, { name });
    return null;
  }

  recolour(index, colour) {
    this.groups[index].colour = colour;
    this.note(this.groups[index], { colour });
  }

  note(group, change) {
    const key = Grouping.key(group.members);
    this.own.set(key, { ...this.own.get(key), ...change });
  }

  /* As predict --groups and group --groups read it. */
  yaml(members, run, treeId) {
    // JSON's strings are strings of YAML; what its reader takes as not printable is escaped as well.
    const quoted = (text) => JSON.stringify(text).replace(/[\u007f-\u009f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]/gu,
      (letter) => "\\u" + letter.charCodeAt(0).toString(16).padStart(4, "0"));
    const lines = [`# groups of clusters of the run ${JSON.stringify(run)}, made in its report`];
    if (treeId) lines.push(`# tree: ${treeId}`);
    for (const group of this.groups) lines.push(`# colour: ${quoted(group.name)} ${group.colour}`);
    for (const group of this.groups) {
      const clusters = group.members.flatMap((k) => members[k]).sort((a, b) => a - b);
      lines.push(`${quoted(group.name)}: [${clusters.join(", ")}]`);
    }
    return lines.join("\n") + "\n";
  }
}
