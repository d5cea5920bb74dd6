//! Config files: their names, their contents, the manifests beside them, and what is wrong with them.
