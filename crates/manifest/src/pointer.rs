//! Paths as JSON pointers (RFC 6901).

use json_patch::jsonptr::{PointerBuf, Token};

use colocate_companion::{FieldPath, PathSegment};

/// Converts a path to a pointer.
pub(super) fn pointer(path: &FieldPath) -> PointerBuf {
    PointerBuf::from_tokens(path.segments().iter().map(|segment| match segment {
        PathSegment::Field(name) | PathSegment::Key(name) => Token::new(name),
        PathSegment::Index(index) => Token::from(*index),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_and_indices_are_numbers() {
        let path = FieldPath::of(["spec"]).index(10).key("a/b~c");
        assert_eq!(pointer(&path).as_str(), "/spec/10/a~1b~0c");
        assert_eq!(pointer(&FieldPath::default()).as_str(), "");
    }
}
