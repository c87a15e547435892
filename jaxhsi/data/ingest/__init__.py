"""From files of any format to stores: plan, reflectance, resumable writing."""
