//! A list in JSON that is printed item by item.

use serde::Serialize;

/// Renders a list item by item, with the same output as `serde_json::to_string_pretty` for the whole list.
#[derive(Debug)]
pub(super) struct JsonList {
    /// The number of levels around the list.
    depth: usize,
    items: usize,
}

impl JsonList {
    pub(super) fn new(depth: usize) -> Self {
        Self { depth, items: 0 }
    }

    /// Renders the next item, with what must be printed before it.
    pub(super) fn item(&mut self, item: &impl Serialize) -> serde_json::Result<String> {
        let indent = "  ".repeat(self.depth + 1);
        let text = serde_json::to_string_pretty(item)?.replace('\n', &format!("\n{indent}"));
        let before = if self.items == 0 { "[" } else { "," };
        self.items += 1;
        Ok(format!("{before}\n{indent}{text}"))
    }

    /// Renders the end.
    pub(super) fn end(&self) -> String {
        if self.items == 0 { "[]".to_owned() } else { format!("\n{}]", "  ".repeat(self.depth)) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_list_is_the_same_as_in_one_piece() {
        for items in [vec![], vec![json!({"a": [1, "x\ny"]}), json!({}), json!([])]] {
            let whole = serde_json::to_string_pretty(&json!({ "a": &items })).unwrap();
            let mut list = JsonList::new(1);
            let pieces: String = items.iter().map(|item: &Value| list.item(item).unwrap()).collect();
            assert_eq!(format!("{{\n  \"a\": {pieces}{}\n}}", list.end()), whole);
        }
    }
}
