//! Where in an object something stands, as Kubernetes writes it in its own errors.

use std::fmt;

/// The way from an object to one of its fields: `spec.template.metadata.annotations[example.com/key]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FieldPath(Vec<PathSegment>);

/// A step of the way.
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
    /// The field at the end of these names.
    pub fn of<S: Into<String>>(fields: impl IntoIterator<Item = S>) -> Self {
        Self(fields.into_iter().map(|field| PathSegment::Field(field.into())).collect())
    }

    /// A field of what is here.
    #[must_use]
    pub fn field(&self, name: &str) -> Self {
        self.with(PathSegment::Field(name.to_owned()))
    }

    /// A key of the map that is here.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.with(PathSegment::Key(key.to_owned()))
    }

    /// An item of the list that is here.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(PathSegment::Index(index))
    }

    /// Whether it is the same way, whatever the places in lists are.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let fields = |path: &Self| {
            path.0.iter().filter(|step| !matches!(step, PathSegment::Index(_))).cloned().collect::<Vec<_>>()
        };
        fields(self) == fields(other)
    }

    /// The segments, from the object on.
    pub fn segments(&self) -> &[PathSegment] {
        &self.0
    }

    fn with(&self, step: PathSegment) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, step) in self.0.iter().enumerate() {
            match step {
                PathSegment::Field(name) if place == 0 => f.write_str(name)?,
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
    fn a_path_is_written_as_in_errors_of_kubernetes() {
        let templates = FieldPath::of(["spec", "volumeClaimTemplates"]);
        let path = templates.index(1).field("metadata").field("annotations").key("example.com/a");
        assert_eq!(path.to_string(), "spec.volumeClaimTemplates[1].metadata.annotations[example.com/a]");
        assert_eq!(FieldPath::default().to_string(), "");
    }
}
