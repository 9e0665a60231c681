"""What ``qir new-target`` writes, as a package that works where it stands; the names are put in by `_new_target`."""
