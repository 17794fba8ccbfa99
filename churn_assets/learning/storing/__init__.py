"""How the files of a registered model are written, told apart and found again."""
