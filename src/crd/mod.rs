//! What users write.

/// All CustomResourceDefinitions as one stream of YAML documents.
pub fn yaml() -> String {
    String::new()
}

/// A file name and its YAML for each kind.
pub fn files() -> Vec<(String, String)> {
    Vec::new()
}
