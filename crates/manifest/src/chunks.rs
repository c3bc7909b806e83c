//! Reads a text in chunks that end where documents do, so that only a part of a large file is in memory.

use std::fmt;
use std::io::Read;
use std::mem;
use std::path::Path;
use std::string::FromUtf8Error;

use serde::de::IgnoredAny;

use super::document::{Manifest, Syntax};
use super::json_parser;
use super::position::{BYTE_ORDER_MARK, Lines, PartStart, SyntaxError};
use super::source::Source;
use super::sources::{ReadError, unreadable};
use super::split::Split;

/// The number of bytes that are read before a text is divided. If a document is longer, a chunk has at most twice its length.
const SIZE: usize = 256 << 10;

/// Reads the text of a source in chunks. Together, they are the whole text.
///
/// An error ends the text: a file that cannot be read, or a byte that is not UTF-8.
pub struct Chunks<'s> {
    source: &'s Source,
    reader: Box<dyn Read + 's>,
    syntax: Syntax,
    /// The reason why a text that looks like JSON is not JSON. Its offsets are relative to the whole text.
    not_json: Option<SyntaxError>,
    /// The bytes that were read and are not in a chunk yet.
    buffer: Vec<u8>,
    /// Whether the end of the text was reached.
    is_complete: bool,
    /// The number of bytes to read before the text is divided.
    size: usize,
    start: ChunkStart,
}

/// A part of a text, with whole documents only. It has at least one, unless the text has none.
#[derive(Debug)]
pub struct Chunk {
    text: String,
    syntax: Syntax,
    not_json: Option<SyntaxError>,
    start: ChunkStart,
}

/// The start of a chunk. A chunk of YAML starts at the start of a line.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ChunkStart {
    /// The number of documents before the chunk.
    pub(super) documents: usize,
    pub(super) part: PartStart,
}

/// The end of a chunk.
struct Cut {
    length: usize,
    documents: usize,
}

impl Chunk {
    /// The documents of the chunk. Their positions are relative to the whole text.
    pub fn manifest(&self) -> Manifest<'_> {
        Manifest::of_chunk(&self.text, self.syntax, self.not_json.clone(), self.start)
    }
}

impl fmt::Debug for Chunks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunks").field("source", self.source).field("start", &self.start).finish_non_exhaustive()
    }
}

impl<'s> Chunks<'s> {
    /// Opens a source, and finds out whether its text is JSON. For that, a text that looks like JSON is read once more.
    pub(super) fn open(source: &'s Source) -> Result<Self, ReadError> {
        Self::open_with(source, SIZE)
    }

    fn open_with(source: &'s Source, size: usize) -> Result<Self, ReadError> {
        let mut chunks = Self::of_syntax(source, Syntax::Yaml, size)?;
        chunks.fill_beyond_space()?;
        if json_parser::is_likely(valid_start(&chunks.buffer)) {
            match Self::check_json(source, size)? {
                Ok(()) => chunks.syntax = Syntax::Json,
                Err(error) => chunks.not_json = Some(error),
            }
        }
        Ok(chunks)
    }

    fn of_syntax(source: &'s Source, syntax: Syntax, size: usize) -> Result<Self, ReadError> {
        let reader = source.open()?;
        let start = ChunkStart::default();
        Ok(Self { source, reader, syntax, not_json: None, buffer: Vec::new(), is_complete: false, size, start })
    }

    /// Checks that a text has only JSON values. Invalid UTF-8 is reported later, when the chunks are read.
    fn check_json(source: &'s Source, size: usize) -> Result<Result<(), SyntaxError>, ReadError> {
        let mut chunks = Self::of_syntax(source, Syntax::Json, size)?;
        loop {
            let start = chunks.start.part.bytes;
            let checked = if let Some(cut) = chunks.next_cut() {
                match chunks.next_chunk(cut) {
                    Err(ReadError::NoText { .. }) => return Ok(Ok(())),
                    chunk => json_parser::check(&chunk?.text),
                }
            } else if chunks.is_complete {
                return Ok(Ok(()));
            } else {
                let text = whole_lines(valid_start(&chunks.buffer));
                let checked = if is_invalid_json(text) { json_parser::check(text) } else { Ok(()) };
                chunks.fill()?;
                checked
            };
            if let Err(error) = checked {
                return Ok(Err(error.after(start)));
            }
        }
    }

    /// Reads until the first character that is not white space.
    fn fill_beyond_space(&mut self) -> Result<(), ReadError> {
        let mark = "\u{feff}".as_bytes();
        let is_space = |text: &[u8]| text.strip_prefix(mark).unwrap_or(text).trim_ascii_start().is_empty();
        while !self.is_complete && (mark.starts_with(&self.buffer) || is_space(&self.buffer)) {
            self.fill()?;
        }
        Ok(())
    }

    /// Fills the buffer to the wanted size, or doubles it if it is already that long.
    fn fill(&mut self) -> Result<(), ReadError> {
        let wanted = self.size.checked_sub(self.buffer.len()).filter(|wanted| *wanted > 0).unwrap_or(self.buffer.len());
        let read = self.reader.by_ref().take(wanted as u64).read_to_end(&mut self.buffer);
        self.is_complete = read.map_err(|error| unreadable(self.source.shown(), error))? < wanted;
        Ok(())
    }

    fn read(&mut self) -> Result<Option<Chunk>, ReadError> {
        loop {
            if let Some(cut) = self.next_cut() {
                return self.next_chunk(cut).map(Some);
            }
            if self.is_complete {
                return Ok(None);
            }
            self.fill()?;
        }
    }

    /// The end of the next chunk; `None` if more must be read, or nothing is left.
    fn next_cut(&self) -> Option<Cut> {
        let valid = valid_start(&self.buffer);
        let (missing, length) = (self.buffer.len() - valid.len(), self.buffer.len());
        // At the end of what was read, a character may be incomplete.
        let is_valid = missing == 0 || (!self.is_complete && missing < char::MAX_LEN_UTF8);
        let rest = Cut { length, documents: 0 };
        if !is_valid {
            // The documents before an invalid byte come first.
            self.cut(valid).or(Some(rest))
        } else if self.is_complete {
            (length > 0).then_some(rest)
        } else if length >= self.size {
            self.cut(valid)
        } else {
            None
        }
    }

    /// Returns the last place at which a text can be divided. The text may be incomplete.
    fn cut(&self, text: &str) -> Option<Cut> {
        match self.syntax {
            Syntax::Yaml => yaml_cut(text),
            Syntax::Json => json_cut(text),
        }
    }

    /// Removes a chunk from the buffer.
    fn next_chunk(&mut self, Cut { length, documents }: Cut) -> Result<Chunk, ReadError> {
        let rest = self.buffer.split_off(length);
        let text = String::from_utf8(mem::replace(&mut self.buffer, rest))
            .map_err(|error| not_text(self.source.shown(), self.start.part, &error))?;
        let next = ChunkStart { documents: self.start.documents + documents, part: self.start.part.after(&text) };
        let start = mem::replace(&mut self.start, next);
        let is_last = self.is_complete && self.buffer.is_empty();
        let not_json = self.not_json.as_ref().and_then(|error| error.relative_to(start.part.bytes));
        // An error at the end of a chunk is in the first line of the next one.
        let not_json = not_json.filter(|error| error.offset < text.len() || is_last);
        Ok(Chunk { text, syntax: self.syntax, not_json, start })
    }
}

impl Iterator for Chunks<'_> {
    type Item = Result<Chunk, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let chunk = self.read();
        if chunk.is_err() {
            (self.buffer, self.is_complete) = (Vec::new(), true);
        }
        chunk.transpose()
    }
}

/// Returns the start of the last document. The text may be incomplete.
fn yaml_cut(text: &str) -> Option<Cut> {
    let text = whole_lines(text);
    let starts = Split::new(text).enumerate().map(|(documents, range)| Cut { length: range.start, documents });
    starts.filter(|cut| cut.divides(text)).last()
}

/// Returns the lines that are complete. If the text ends with `\r`, a `\n` may follow.
fn whole_lines(text: &str) -> &str {
    let complete = text.strip_suffix('\r').unwrap_or(text);
    let end = complete.bytes().rposition(|byte| matches!(byte, b'\n' | b'\r'));
    &text[..end.map_or(0, |end| end + 1)]
}

/// Returns the start of the last value. The text may be incomplete.
fn json_cut(text: &str) -> Option<Cut> {
    let skipped = text.len() - without_mark(text).len();
    let mut values = serde_json::Deserializer::from_str(without_mark(text)).into_iter::<IgnoredAny>();
    let (mut cut, mut documents) = (None, 0);
    // An incomplete value is an error.
    while let Some(Ok(_)) = values.next() {
        documents += 1;
        let rest = text[skipped + values.byte_offset()..].trim_ascii_start();
        cut = Some(Cut { length: text.len() - rest.len(), documents }).filter(|cut| cut.divides(text)).or(cut);
    }
    cut
}

/// Returns true if a text is not JSON, whatever follows it.
fn is_invalid_json(text: &str) -> bool {
    let mut values = serde_json::Deserializer::from_str(without_mark(text)).into_iter::<IgnoredAny>();
    values.find_map(Result::err).is_some_and(|error| !error.is_eof())
}

fn without_mark(text: &str) -> &str {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

impl Cut {
    /// Returns true if both parts of a text have the same meaning as the whole.
    fn divides(&self, text: &str) -> bool {
        let rest = &text[self.length..];
        // A byte order mark has a meaning at the start of a text only.
        self.length > 0 && !rest.is_empty() && !rest.starts_with(BYTE_ORDER_MARK)
    }
}

/// The longest start of a text that is UTF-8.
fn valid_start(bytes: &[u8]) -> &str {
    bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid())
}

/// The error about the first byte that is not UTF-8.
pub(super) fn not_text(path: &Path, start: PartStart, error: &FromUtf8Error) -> ReadError {
    let (bytes, good) = (error.as_bytes(), error.utf8_error().valid_up_to());
    let is_utf16 = start.bytes == 0 && [[0xff, 0xfe], [0xfe, 0xff]].iter().any(|mark| bytes.starts_with(mark));
    let guess = if is_utf16 { "; it looks like UTF-16" } else { "" };
    let what = format!("the byte 0x{:02X} is not valid UTF-8{guess}; save the file as UTF-8", bytes[good]);
    let position = Lines::of_part(valid_start(bytes), start).position(good);
    ReadError::NoText { path: path.to_owned(), position, what }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Describes the documents of a manifest by what users see of them.
    fn documents(manifest: &Manifest<'_>) -> Vec<String> {
        let describe = |document: Result<crate::Document<'_>, crate::ParseError>| match document {
            Ok(document) => {
                let positions: Vec<_> = document.objects().iter().map(|object| object.position.to_string()).collect();
                let place = (document.offset(), document.index, document.position(document.range.end), positions);
                let duplicate = document.duplicate.as_ref().map(ToString::to_string);
                let excerpt = document.excerpt(&document.range);
                format!("{place:?} {:?} {} {duplicate:?} {excerpt}", document.text(), document.value)
            }
            Err(error) => error.to_string(),
        };
        manifest.documents().map(describe).collect()
    }

    fn chunks(text: &str, size: usize) -> Vec<Chunk> {
        let source = Source::of_text("a.yaml", text);
        Chunks::open_with(&source, size).unwrap().map(Result::unwrap).collect()
    }

    #[track_caller]
    fn assert_equal(text: &str) {
        let whole = Manifest::new(text);
        for size in 1..=text.len() + 1 {
            let chunks = chunks(text, size);
            let joined: String = chunks.iter().map(|chunk| &*chunk.text).collect();
            assert_eq!(joined, text, "size {size}");
            let of_chunks: Vec<_> = chunks.iter().flat_map(|chunk| documents(&chunk.manifest())).collect();
            assert_eq!(of_chunks, documents(&whole), "{text:?}, size {size}");
            assert!(chunks.iter().all(|chunk| chunk.syntax == whole.syntax), "{text:?}, size {size}");
            let is_empty = |chunk: &Chunk| chunk.manifest().documents().next().is_none();
            assert!(chunks.len() < 2 || !chunks.iter().any(is_empty), "{text:?}, size {size}");
        }
    }

    #[test]
    fn chunks_have_the_documents_of_the_whole_text() {
        for text in [
            "",
            "# nothing\n",
            "a: 1\n---\nb: 2\n--- # c\n---\n--- {d: 1}\n",
            "a: 1\r\n---\r\nb: 'é'\r\n---\r\nc: ✓\r\n",
            "a: 1\r---\rb: 2\r---\rc: 3",
            "# c\n%YAML 1.2\n---\na: 1\n...\n# d\n%YAML 1.2\n---\nb: 1\n...\n...\n# the end\n",
            "a: |\n ---\n ---\n---a: 1\n---\nb: 1\n",
            "\u{feff}a: 1\n---\n\u{feff}b: 1\n---\nc: 1\n",
            "a: 1\n...\n\u{feff}b: 1\n---\nc: 1\n",
            "a: 1\n---\nb: [\n---\nc: {{ d }}\n---\ne: 1\ne: 2\n---\nf: 1\n",
            "apiVersion: v1\nkind: Pod\n---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod}\n---\n",
            "{\"a\": 1}\n{\"b\": [1,\n2]} {\"c\": 1}\n  {\"d\": 1}\n[1]\n\n12\n3\n",
            " \n{\"a\": 1}\r\n{\"kind\": \"Pod\", \"apiVersion\": \"v1\"}\r\n\"✓\"",
            "\u{feff}{\"a\": 1}\n\u{feff}{\"b\": 1}\n",
            // It looks like JSON at first.
            "{\"a\": 1}\n{\"b\": 1}\n---\n{\"c\": 1}\n",
            "{\"a\": 1}\n---\n{\"b\": 1}\n---\n{\"c\": 1,\n\"d\" 1}\n",
            "{\"a\": 1}\n{\"a\": 1, \"a\": 2}\n{\"c\": 1}\n",
            "{a: 1}\n---\n[\n",
            "\u{feff}  \n {\"a\": 1}\n{\"b\": tru\n",
            "{\"a\": 1}\n{\"b\": \"\\q\"}\n{\"c\": 1}\n",
            "{\"a\": 1}\n{\"b\": \"\\\n\"}\n{\"c\": \"x\ny\"}\n",
            "{\"a\": 1}\n{\"b\": tru}\n{\"c\": 1}\n",
            "{\"a\": 1}\n{\"b\": 01}\n{\"c\": 1}\n",
            "{\"a\": 1}\n{\"b\": 1\n\n",
            "{\"a\": \"\ttab\"}\n{\"b\"\n: 1,}\n]\n",
            // Several values are in one line.
            "{\"a\": 1}{\"b\": \"é\"} 1 2 \"✓\" [3]\t{\"c\": 1, \"c\": 2}{\"d\": 1, \"d\": 2}",
            "\u{feff}[1] {\"kind\": \"Pod\", \"apiVersion\": \"v1\"}\r\n \r{\"e\": 1, \"e\": 2} {\"f\": 1, \"f\": 2}",
            "{\"a\": \"{{ b }}\"} {\"c\": 1, \"c\": 2}\n{\"d\": \"{{ e }}\", \"d\": 2}",
            &format!("{{\"a\": \"{}\"}} {{\"b\": 1, \"b\": 2}} {{\"c\": 1, \"c\": 2}}", "é".repeat(80)),
            "{} \u{c}{} {}",
            "{}1 2\"a\"[]true",
            "{} {\"a\": 1} x {}",
            "[]{}\u{feff}{}",
        ] {
            assert_equal(text);
        }
    }

    #[test]
    fn a_chunk_is_not_much_larger_than_the_size_or_a_document() {
        let document = "a: 1\n---\n";
        let (size, text) = (100, document.repeat(1000));
        let lengths: Vec<_> = chunks(&text, size).iter().map(|chunk| chunk.text.len()).collect();
        assert!(lengths.iter().all(|length| *length <= size), "{lengths:?}");
        let (_, before) = lengths.split_last().unwrap();
        assert!(before.iter().all(|length| length + 2 * document.len() > size), "{lengths:?}");
        let large = format!("{text}a: {}\n---\n{text}", "x".repeat(1000));
        let lengths: Vec<_> = chunks(&large, size).iter().map(|chunk| chunk.text.len()).collect();
        assert!(lengths.iter().all(|length| *length <= 2 * (1000 + document.len())), "{lengths:?}");
        let values = ["\n", " ", "", "\n  "].map(|end| format!("{{\"a\": 1}}{end}").repeat(1000));
        let flow = "{a: 1}\n---\n".repeat(1000);
        let separated = "{\"a\": 1}\n---\n".repeat(1000);
        for text in values.into_iter().chain([flow, separated]) {
            assert!(chunks(&text, size).iter().all(|chunk| chunk.text.len() <= size), "{text}");
        }
    }

    #[test]
    fn an_invalid_byte_has_its_position_and_ends_the_text() {
        let text = [b"a: 1\n---\nb: 2\n---\nc: \xc3\xa9 \xff\n---\nd: 1\n", "e: 1\n".repeat(100).as_bytes()].concat();
        for size in 1..text.len() + 2 {
            let source = Source::of_pipe(Path::new("a.yaml"), text.clone().into());
            let mut read: Vec<_> = Chunks::open_with(&source, size).unwrap().collect();
            let error = read.pop().unwrap().unwrap_err().to_string();
            assert_eq!(error, "a.yaml:5:6: the byte 0xFF is not valid UTF-8; save the file as UTF-8");
            let before: String = read.into_iter().map(|chunk| chunk.unwrap().text).collect();
            assert_eq!(before, "a: 1\n---\nb: 2\n", "size {size}");
        }
        let source = Source::of_pipe(Path::new("a"), [0xff, 0xfe].repeat(9).into());
        let error = Chunks::open_with(&source, 1).unwrap().next().unwrap().unwrap_err().to_string();
        assert!(error.starts_with("a:1:1: ") && error.contains("looks like UTF-16"), "{error}");
    }
}
