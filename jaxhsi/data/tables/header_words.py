"""Words in the headers of tables: what names a band axis, a sample, or a reference value."""

import re
import unicodedata

_BAND_STEMS = (
    # English and what instruments write
    *("wave", "raman", "shift", "freq", "lambda", "energy", "kinetic", "binding", "mass", "m/z"),
    *("2theta", "2 theta", "two theta", "twotheta", "q-space", "pixel", "channel", "retardation"),
    *("spectral axis", "x-axis", "xaxis", "x axis", "x_axis", "axis", "kanal", "canal", "abscissa"),
    # German, French, Spanish, Portuguese, Italian, Catalan
    *("wellen", "energie", "d'onde", "d’onde", "d onde", "de onda", "d'onda", "d’onda", "onda"),
    *("decalage", "desplazamiento", "deslocamento", "spostamento", "frecuencia", "frequenza"),
    *("frequen", "energia", "verschiebung"),
    # Dutch, Scandinavian, Finnish, Hungarian, Turkish
    *("golf", "vaglangd", "vagtal", "bolge", "bølge", "aallon", "aalto", "hullam", "dalga"),
    # Polish, Czech, Slovak, Romanian, Russian, Ukrainian, Greek
    *("długosc fali", "dlugosc fali", "liczba falowa", "falowa", "fali", "vlnov", "vlnoc"),
    *("lungime", "de unda", "длина волны", "волнов", "сдвиг", "частота", "довжина хвилі", "хвил"),
    *("κυματο", "κυματ", "μηκος"),
    # Chinese, Japanese, Korean
    *(
        "波长",
        "波長",
        "波数",
        "波數",
        "拉曼",
        "位移",
        "频率",
        "能量",
        "ラマン",
        "シフト",
        "파장",
        "파수",
    ),
    *("エネルギー", "周波数"),
)
_BAND_WORDS = re.compile(
    r"(?<![a-z])(nm|µm|μm|um|mum|micron|microns|angstrom|å|cm|k?ev|mev|thz|ghz|mhz|ppm|wn|wl|mz"
    r"|λ|ν|ν̃|2θ|2-?theta|th|lam|tth|amu|da|bands?|x)(?![a-z])"
)
_BAND_UNITS = re.compile(
    r"1\s*/\s*(cm|m|nm)|(cm|m)\s*\^?\s*[{(\[]?\s*-\s*1|/\s*cm|recip.*cm|inverse cm|m/z|mass/charge"
)
_SAMPLE_WORDS = re.compile(
    r"^(samples?|specim\w*|spectra|spectrum|spectr|spec|scans?|names?|id|ids|nr|no|n°|nº|#|index|idx"
    r"|row|rows|labels?|component|components|unnamed.*|file|files|filename|file name|well|title"
    r"|obs|observation|record|measurement|meas|run|acquisition|point|position|pos"
    r"|probe|proben|probenname|bezeichnung|messung|nummer|datei|echantillons?|essai|nom|numero|fichier"
    r"|muestras?|nombre|archivo|amostras?|nome|arquivo|ficheiro|campion[ei]|provini?|monsters?|naam"
    r"|prov|prover|prove|prover?|naytteet?|nayte|probka|probki|nazwa|vzorek|vzorky|vzorka|nazev"
    r"|mint[aá]k?|minta|nev|numune|ornek|ad|proba|образ\w*|проба|имя|название|зразок"
    r"|δειγμα|样品|样本|樣品|樣本|編號|编号|名称|名稱|試料|試料名|サンプル|試料番号|시료|샘플|이름)"
    r"\s*[.:]?\s*(names?|id|ids|no|nr|number|#|code|label|nummer|name)?\s*[.:]?$"
)
_ORDER_STEMS = re.compile(
    r"^(r\.?\s*)?(times?|zeit|temps|tiempo|tempo|tijd|tid|aika|czas|cas|ido|zaman|sure|время|час"
    r"|χρονος|时间|時間|시간|rt|retention.*|elution.*|t|min|mins|minutes?|s|sec|secs|seconds?|ms|ps|fs|ns"
    r"|h|hours?|days?|delay|temp|temperature|temperatur|temperatura|volume|vol|depth|dose|potential"
    r"|voltage|cycle|frame|step)"
    r"(?=$|[\s(\[/,;.:-])"
)
_REFERENCE_STEMS = re.compile(
    r"brix|^hs$|^ph$|conc|class|klasse|clase|classe|categor|group|gruppe|type|variety|species|cultivar"
    r"|label|target|treat|batch|charge|lot$|^rep|date|datum|operator|moist|water|protein|fat$|starch|oil$"
    r"|sugar|glucose|ethanol|acid|octane|density|yield|purity|^y\d*$|^ref\b|reference|weight|alcohol|viscos|score"
    r"|quality|origin|site|plot|^lat|^lon|parameter|property|analyte|浓度|濃度|含量|类别|分類"
)
_VALUE_WORDS = re.compile(
    r"intens|absorb|absorp|reflect|transmi|counts?$|^cps|signal|^value|amplitude|extinktion|extinc"
    r"|^int\b|^abs\b|^a\.?u\.?$|^od$|emission|fluoresc|ordinate|intensität|强度|吸光|強度|^data$|respon"
    r"|valor|valeur|wert"
)
_UNIT_CELL = re.compile(
    r"^[\[(]?\s*(nm|µm|μm|um|cm|1/cm|cm\^?[{(]?-1[)}]?|/cm|ev|kev|hz|thz|a\.?\s*u\.?|arb\.?\s*units?|au"
    r"|abs|absorbance|counts?|cps|%|%t|%r|mau|ppm|s|sec|min|m/z|da|deg|°|unitless|-|g/l|mg/l|mm|m|ml|v|w"
    r"|reflectance|transmittance|intensity|units?|rel\.?\s*u\.?)\s*[\])]?$"
)


def normalise_label(label: str) -> str:
    """Lower case, without accents, with plain minus signs and superscripts.

    >>> normalise_label("Wellenlänge (cm⁻¹)")
    'wellenlange (cm-1)'
    """
    decomposed = unicodedata.normalize("NFKD", label.casefold()).replace("\u2212", "-")
    decomposed = decomposed.replace("\u2013", "-").replace("_", " ")
    letters = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return unicodedata.normalize("NFC", letters).strip(" \t#%\"'")


def label_kind(label: str) -> str | None:
    """What a header cell names: "band", "sample", "order" (of samples), "reference", or None.

    >>> [label_kind(word) for word in ("cm⁻¹", "Probe", "t / min", "Brix", "s1")]
    ['band', 'sample', 'order', 'reference', None]
    """
    word = normalise_label(label)
    if not word:
        return None
    if _SAMPLE_WORDS.match(word):
        return "sample"
    if _ORDER_STEMS.match(word) and not _BAND_UNITS.search(word):
        return "order"
    has_stem = any(stem in word for stem in _BAND_STEMS)
    if has_stem or _BAND_UNITS.search(word) or _BAND_WORDS.search(word):
        return "band"
    return "reference" if _REFERENCE_STEMS.search(word) else None


def corner_labels(label: str) -> tuple[str, str]:
    r"""What a corner cell calls the column below it and the row beside it, where it names both.

    >>> corner_labels(r"R.Time (min)\Wavelength (nm)")
    ('R.Time (min)', 'Wavelength (nm)')
    >>> corner_labels("1/cm")
    ('1/cm', '')
    """
    for mark in ("\\", "|", "/"):
        below, _, beside = (part.strip() for part in label.partition(mark))
        kinds = (label_kind(below), label_kind(beside))
        if None not in kinds and (kinds[0] == "band") != (kinds[1] == "band"):
            return below, beside
    return label.strip(), ""


def corner_kinds(label: str) -> tuple[str | None, str | None]:
    """`label_kind` of what a corner cell calls the column below it and the row beside it.

    >>> corner_kinds("Time/Wavelength")
    ('order', 'band')
    """
    below, beside = corner_labels(label)
    return label_kind(below), label_kind(beside)


def is_value_label(label: str) -> bool:
    """Whether a header cell names the measured value of a long table."""
    return bool(_VALUE_WORDS.search(normalise_label(label)))


def is_unit(label: str) -> bool:
    """Whether a cell holds a unit alone, or nothing."""
    word = normalise_label(label)
    return not word or bool(_UNIT_CELL.match(word))
