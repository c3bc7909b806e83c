//! Writes documents as text in many styles.

use serde_json::{Map, Value};

use crate::documents::Document;

/// Writes documents in the styles that the bytes in `choices` select. After the last byte, the plainest style is used.
pub(crate) fn write(documents: &[Document], choices: &[u8]) -> String {
    let mut writer = Writer {
        choices: choices.iter(),
        out: String::new(),
        anchors: Vec::new(),
        anchor_count: 0,
        specs: &[],
        after_keep: false,
        in_block_scalar: false,
    };
    let line_ending = ["\n", "\n", "\r\n"][writer.choose(3)];
    let byte_order_mark = writer.choose(5) == 1;
    for (index, document) in documents.iter().enumerate() {
        writer.document(index, document);
    }
    match writer.choose(4) {
        1 if !writer.after_keep => writer.out.push_str("# the end"),
        2 => writer.out.push_str("...\n"),
        3 if !writer.in_block_scalar => writer.out.truncate(writer.out.trim_end_matches('\n').len()),
        _ => {}
    }
    let text = writer.out.replace('\n', line_ending);
    if byte_order_mark { format!("\u{feff}{text}") } else { text }
}

struct Writer<'a> {
    choices: std::slice::Iter<'a, u8>,
    out: String,
    /// The anchors that an alias may name, with their values.
    anchors: Vec<(String, Value)>,
    anchor_count: usize,
    /// The pod specs of this document.
    specs: &'a [String],
    /// Whether the last value was a block scalar that keeps its trailing line breaks.
    after_keep: bool,
    /// Whether the last scalar was a block scalar.
    in_block_scalar: bool,
}

impl<'a> Writer<'a> {
    fn choose(&mut self, options: usize) -> usize {
        self.choices.next().map_or(0, |&byte| usize::from(byte) % options)
    }

    fn document(&mut self, index: usize, document: &'a Document) {
        (self.anchors, self.specs) = (Vec::new(), &document.specs);
        if index > 0 && self.choose(4) == 1 {
            self.out.push_str("...\n");
        }
        self.comments_and_blank_lines(0);
        let marker = index > 0 || self.choose(3) == 1;
        if marker {
            self.write_one_of(&["---", "--- # a document", "---  "]);
            self.out.push('\n');
            (self.after_keep, self.in_block_scalar) = (false, false);
        }
        // Text that begins with a bracket may be JSON.
        if self.choose(5) == 1 {
            self.flow(&document.value, "", 0);
            self.out.push('\n');
        } else {
            self.block(&document.value, "", 0);
        }
    }

    fn write_one_of(&mut self, options: &[&str]) {
        let chosen = options[self.choose(options.len())];
        self.out.push_str(chosen);
    }

    fn indent(&mut self, spaces: usize) {
        self.out.extend(std::iter::repeat_n(' ', spaces));
    }

    /// Writes comments and empty lines before a line with this indentation.
    fn comments_and_blank_lines(&mut self, indent: usize) {
        for _ in 0..self.choose(4).saturating_sub(1) {
            match self.choose(3) {
                0 if !self.after_keep => {
                    // Spaces after a block scalar could become part of its text.
                    let spaces = if self.in_block_scalar { 0 } else { self.choose(4) };
                    self.indent(spaces);
                }
                // After a block scalar, a comment must be indented less than the scalar's text.
                _ => {
                    let spaces = self.choose(indent + 1);
                    self.indent(spaces);
                    self.out.push_str("# spec: {schedulerName: no} 'é");
                    self.after_keep = false;
                }
            }
            self.out.push('\n');
        }
        self.after_keep = false;
    }

    /// Writes an optional comment at the end of a line.
    fn trailing_comment(&mut self) {
        self.write_one_of(&["", "", "  ", " # why", "\t# {"]);
    }

    /// Writes a value that starts on its own line.
    fn block(&mut self, value: &Value, path: &str, indent: usize) {
        match value {
            Value::Object(map) if !map.is_empty() => self.block_mapping(map, path, indent, true),
            Value::Array(items) if !items.is_empty() => self.block_sequence(items, path, indent, true),
            _ => {
                self.indent(indent);
                self.flow(value, path, indent);
                self.trailing_comment();
                self.out.push('\n');
            }
        }
    }

    /// Writes a block mapping. If `on_new_line`, the first entry also starts on its own line.
    fn block_mapping(&mut self, map: &Map<String, Value>, path: &str, indent: usize, on_new_line: bool) {
        let mut entries: Vec<_> = map.iter().collect();
        let offset = self.choose(entries.len());
        entries.rotate_left(offset);
        for (index, (key, value)) in entries.into_iter().enumerate() {
            if index > 0 || on_new_line {
                self.comments_and_blank_lines(indent);
                self.indent(indent);
            }
            let path = format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
            if self.choose(12) == 1 {
                self.out.push_str("? ");
                self.key(key);
                self.out.push('\n');
                self.indent(indent);
                self.out.push(':');
                self.after_indicator(value, &path, indent);
            } else {
                self.key(key);
                self.write_one_of(&[":", ":", " :"]);
                self.after_key(value, &path, indent);
            }
        }
    }

    fn block_sequence(&mut self, items: &[Value], path: &str, indent: usize, on_new_line: bool) {
        for (index, item) in items.iter().enumerate() {
            if index > 0 || on_new_line {
                self.comments_and_blank_lines(indent);
                self.indent(indent);
            }
            self.out.push('-');
            self.after_indicator(item, &format!("{path}/{index}"), indent);
        }
    }

    /// Writes the value after `-`, or after the `:` of a key with `?`. It may be a block that starts in this line.
    fn after_indicator(&mut self, value: &Value, path: &str, indent: usize) {
        let compact = self.choose(4) != 1;
        match value {
            Value::Object(map) if compact && !map.is_empty() => {
                let spaces = 1 + self.choose(3);
                self.indent(spaces);
                self.block_mapping(map, path, indent + 1 + spaces, false);
            }
            Value::Array(items) if compact && !items.is_empty() => {
                let spaces = 1 + self.choose(3);
                self.indent(spaces);
                self.block_sequence(items, path, indent + 1 + spaces, false);
            }
            _ => self.rest_of_line(value, path, indent, 1),
        }
    }

    fn after_key(&mut self, value: &Value, path: &str, indent: usize) {
        // A sequence may have the same indentation as its key.
        let min_step = usize::from(!value.is_array());
        self.rest_of_line(value, path, indent, min_step);
    }

    /// Writes a value after its key, in the same line or as a block that is indented by at least `min_step` more.
    fn rest_of_line(&mut self, value: &Value, path: &str, indent: usize, min_step: usize) {
        let is_block = match value {
            Value::Object(map) => !map.is_empty(),
            Value::Array(items) => !items.is_empty(),
            _ => false,
        };
        if is_block && self.choose(4) != 1 {
            if !self.properties(value, path) {
                self.trailing_comment();
            } else if self.choose(2) == 1 {
                self.out.push_str(" # a remark");
            }
            self.out.push('\n');
            (self.in_block_scalar, self.after_keep) = (false, false);
            let step = [2, 2, 4, 1, 3, 5, 6, 7, 8, 0][self.choose(10)].max(min_step);
            return self.block(value, path, indent + step);
        }
        // The manifest editor does not edit a scheduler that is a block scalar.
        if let (Value::String(text), 1) = (value, self.choose(3))
            && !path.ends_with("/schedulerName")
            && self.block_scalar(text, indent)
        {
            return;
        }
        let before = self.out.len();
        self.out.push(' ');
        self.flow(value, path, indent + 1);
        if self.out[before..].trim().is_empty() {
            self.out.truncate(before);
        }
        self.trailing_comment();
        self.out.push('\n');
    }

    /// Writes a literal or folded block scalar. Returns false if the text cannot be one.
    fn block_scalar(&mut self, text: &str, indent: usize) -> bool {
        let body = text.trim_end_matches('\n');
        let ends = text.len() - body.len();
        let plain_line =
            |line: &str| !line.is_empty() && !line.starts_with([' ', '\t']) && !line.ends_with([' ', '\t']);
        if body.is_empty() || !body.split('\n').all(plain_line) {
            return false;
        }
        let step = 1 + self.choose(4);
        let chomping = match ends {
            0 => "-",
            1 if self.choose(3) != 1 => "",
            _ => "+",
        };
        let indentation = if self.choose(3) == 1 { step.to_string() } else { String::new() };
        let folded = self.choose(2) == 1;
        self.out.extend([if folded { " >" } else { " |" }, &indentation, chomping]);
        self.write_one_of(&["", " # a block"]);
        self.out.push('\n');
        let body = if folded { body.replace('\n', "\n\n") } else { body.to_owned() };
        for line in body.split('\n') {
            self.indent(if line.is_empty() { 0 } else { indent + step });
            self.out.push_str(line);
            self.out.push('\n');
        }
        self.out.push_str(&"\n".repeat(ends.saturating_sub(1)));
        (self.in_block_scalar, self.after_keep) = (true, chomping == "+");
        true
    }

    fn key(&mut self, key: &str) {
        let style = self.choose(6);
        let written = match style {
            1 => double_quoted(key),
            2 => single_quoted(key),
            _ => plain(key).unwrap_or_else(|| single_quoted(key)),
        };
        self.out.push_str(&written);
    }

    /// Writes a value in flow style. Its lines have at least this indentation.
    fn flow(&mut self, value: &Value, path: &str, indent: usize) {
        self.in_block_scalar = false;
        self.after_keep = false;
        if self.alias(value, path) {
            return;
        }
        let start = self.out.len();
        if self.properties(value, path) {
            let properties = self.out.split_off(start);
            self.out.push_str(properties.trim_start());
            self.out.push(' ');
        }
        match value {
            Value::Object(map) => self.flow_mapping(map, path, indent),
            Value::Array(items) => self.flow_sequence(items, path, indent),
            Value::String(text) => self.text(text, indent),
            Value::Null => self.write_one_of(&["null", "~", "Null"]),
            scalar => self.out.push_str(&scalar.to_string()),
        }
    }

    fn flow_mapping(&mut self, map: &Map<String, Value>, path: &str, indent: usize) {
        let multiline = self.choose(3) == 1;
        let like_json = self.choose(3) == 1;
        self.out.push('{');
        for (index, (key, value)) in map.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            self.before_flow_entry(multiline, indent);
            if like_json {
                self.out.push_str(&double_quoted(key));
                self.write_one_of(&[":", ": ", " : "]);
            } else {
                self.key(key);
                self.out.push_str(": ");
            }
            self.flow(value, &format!("{path}/{}", key.replace('~', "~0").replace('/', "~1")), indent);
        }
        self.end_of_flow(multiline, indent, map.is_empty());
        self.out.push('}');
    }

    fn flow_sequence(&mut self, items: &[Value], path: &str, indent: usize) {
        let multiline = self.choose(3) == 1;
        self.out.push('[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            self.before_flow_entry(multiline, indent);
            self.flow(item, &format!("{path}/{index}"), indent);
        }
        self.end_of_flow(multiline, indent, items.is_empty());
        self.out.push(']');
    }

    /// Writes white space, and possibly a comment, before an entry of a flow collection.
    fn before_flow_entry(&mut self, multiline: bool, indent: usize) {
        if multiline {
            self.write_one_of(&["", " # an entry"]);
            self.out.push('\n');
            self.comments_and_blank_lines(indent);
            self.indent(indent + 2);
        } else {
            self.write_one_of(&["", " "]);
        }
    }

    fn end_of_flow(&mut self, multiline: bool, indent: usize, empty: bool) {
        if !empty && self.choose(4) == 1 {
            self.out.push_str(" ,");
        }
        if multiline {
            self.out.push('\n');
            self.indent(indent + 1);
        }
    }

    fn text(&mut self, text: &str, indent: usize) {
        let written = match self.choose(4) {
            1 => double_quoted(text),
            2 => single_quoted(text),
            3 if text.split(' ').all(|word| !word.is_empty() && !word.contains(['\t', '\n'])) => {
                // A line break between two words, which YAML folds into a space.
                let line = format!("\n{}", " ".repeat(indent + 2));
                double_quoted(text).replacen(' ', &line, 1)
            }
            _ => plain(text).unwrap_or_else(|| double_quoted(text)),
        };
        self.out.push_str(&written);
    }

    /// Writes a tag, an anchor, both or neither. Returns whether it wrote anything.
    fn properties(&mut self, value: &Value, path: &str) -> bool {
        let tag = match value {
            Value::Object(_) => " !!map",
            Value::Array(_) => " !!seq",
            Value::String(_) => " !!str",
            _ => "",
        };
        let choice = self.choose(12);
        let has_tag = choice == 1 && !tag.is_empty();
        if has_tag {
            self.out.push_str(tag);
        }
        let has_anchor = choice >= 10;
        if has_anchor {
            self.anchor_count += 1;
            let name = format!("a{}", self.anchor_count);
            self.out.extend([" &", &name]);
            // A value that will be edited must not be aliased elsewhere.
            if !self.touches_spec(path) {
                self.anchors.push((name, value.clone()));
            }
        }
        has_tag || has_anchor
    }

    /// Writes an alias if an anchor with that value exists.
    fn alias(&mut self, value: &Value, path: &str) -> bool {
        let is_spec = self.touches_spec(path) && !path.ends_with("/schedulerName");
        // A value never contains a value equal to itself, so an alias cannot refer to an anchor that is still open.
        let found = self.anchors.iter().find(|(_, anchored)| anchored == value).map(|(name, _)| name.clone());
        match found {
            Some(name) if !is_spec && self.choose(2) == 1 => {
                self.out.extend(["*", &name, " "]);
                true
            }
            _ => false,
        }
    }

    /// Returns whether the path is that of a pod spec, of a value that contains one, or of its scheduler.
    fn touches_spec(&self, path: &str) -> bool {
        self.specs.iter().any(|spec| spec.starts_with(path) || path == format!("{spec}/schedulerName"))
    }
}

fn double_quoted(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    if text == "default-scheduler" { quoted } else { quoted.replace('-', "\\u002d") }
}

/// Quotes a text with single quotes, unless line breaks, which single quotes would fold, require double quotes.
fn single_quoted(text: &str) -> String {
    if text.contains(['\n', '\t']) { double_quoted(text) } else { format!("'{}'", text.replace('\'', "''")) }
}

/// Returns the text if every parser reads it as the same string without quotes.
fn plain(text: &str) -> Option<String> {
    let words = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.split(' ').all(word)
        && !words.contains(&text.to_ascii_lowercase().as_str());
    is_plain.then(|| text.to_owned())
}
