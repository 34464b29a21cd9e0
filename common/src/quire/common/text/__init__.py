"""Words: vocabularies, windows for word vectors, and what word vectors are judged by."""
