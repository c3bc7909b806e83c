//! Paths to the fields of an object, formatted as in Kubernetes' own errors.

use std::fmt;

/// The path from an object to one of its fields: `spec.template.metadata.annotations[example.com/key]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldPath(Vec<PathSegment>);

/// One segment of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PathSegment {
    /// A field of an object.
    Field(String),
    /// A key of a map, such as the annotations.
    Key(String),
    /// An item of a list, from 0.
    Index(usize),
}

impl FieldPath {
    /// Makes a path of these fields.
    pub fn of<S: Into<String>>(fields: impl IntoIterator<Item = S>) -> Self {
        Self(fields.into_iter().map(|field| PathSegment::Field(field.into())).collect())
    }

    /// The path of a field below this one.
    #[must_use]
    pub fn field(&self, name: &str) -> Self {
        self.with(PathSegment::Field(name.to_owned()))
    }

    /// The path of a key of this map.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.with(PathSegment::Key(key.to_owned()))
    }

    /// The path of an item of this list.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(PathSegment::Index(index))
    }

    /// This path with `tail` appended.
    #[must_use]
    pub fn join(&self, tail: &Self) -> Self {
        Self([&*self.0, &tail.0].concat())
    }

    /// The first `length` segments of this path.
    #[must_use]
    pub fn prefix(&self, length: usize) -> Self {
        Self(self.0[..length].to_vec())
    }

    /// Returns true if this is the path of the object itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The segments, starting at the object.
    pub fn segments(&self) -> &[PathSegment] {
        &self.0
    }

    /// Returns true if both paths are the same except for list indices.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let is_name = |segment: &&PathSegment| !matches!(segment, PathSegment::Index(_));
        self.0.iter().filter(is_name).eq(other.0.iter().filter(is_name))
    }

    fn with(&self, segment: PathSegment) -> Self {
        Self(self.0.iter().cloned().chain([segment]).collect())
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, segment) in self.0.iter().enumerate() {
            match segment {
                PathSegment::Field(name) if depth == 0 => f.write_str(name)?,
                PathSegment::Field(name) => write!(f, ".{name}")?,
                PathSegment::Key(key) => write!(f, "[{key}]")?,
                PathSegment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_formatted_as_in_kubernetes_errors() {
        let templates = FieldPath::of(["spec", "volumeClaimTemplates"]);
        let path = templates.index(1).field("metadata").field("annotations").key("example.com/a");
        assert_eq!(path.to_string(), "spec.volumeClaimTemplates[1].metadata.annotations[example.com/a]");
        assert_eq!(FieldPath::default().to_string(), "");
    }
}
