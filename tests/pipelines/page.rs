//! The examples of `docs/pipelines.md`.

const PAGE: &str = include_str!("../../docs/pipelines.md");

/// Returns the code blocks of the page, without their fences.
fn blocks() -> impl Iterator<Item = &'static str> {
    PAGE.split("\n```").skip(1).step_by(2).filter_map(|block| block.split_once('\n')).map(|(_, text)| text)
}

/// Returns the example of a file, which begins with a comment that names the file.
pub(crate) fn file(name: &str) -> String {
    let head = format!("# {name}\n");
    let block = blocks().find(|block| block.starts_with(&head));
    format!("{}\n", block.unwrap_or_else(|| panic!("the page has no example of {name}")))
}

/// Returns the example that contains this command.
pub(crate) fn command(start: &str) -> &'static str {
    let block = blocks().find(|block| block.lines().any(|line| line.starts_with(start)));
    block.unwrap_or_else(|| panic!("the page has no example of `{start}`"))
}

/// Returns the rows of the table of inputs.
pub(crate) fn inputs() -> Vec<&'static str> {
    let table = PAGE.lines().skip_while(|line| !line.starts_with("| input |")).skip(2);
    table.take_while(|line| line.starts_with('|')).collect()
}
