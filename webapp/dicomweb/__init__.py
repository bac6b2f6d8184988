"""DICOMweb (PS3.18): slides that a PACS or scanner sends, and what is answered of them and of their annotations."""
