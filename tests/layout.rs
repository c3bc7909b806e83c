//! The table of modules in `src/lib.rs` matches the code: it lists exactly the modules that each module uses, without cycles.
//! For crates, the compiler checks this.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::Visit;
use syn::{Attribute, ItemMod, ItemUse, UseTree};

type Modules = BTreeSet<String>;

/// The first two segments of every path in a file, except in tests.
#[derive(Default)]
struct Paths(BTreeSet<[String; 2]>);

impl Paths {
    fn add(&mut self, segments: &[String]) {
        if let [first, second, ..] = segments {
            self.0.insert([first.clone(), second.clone()]);
        }
    }

    fn add_tree(&mut self, tree: &UseTree, before: &[String]) {
        let with = |ident: &syn::Ident| [before, &[ident.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.add_tree(&path.tree, &with(&path.ident)),
            UseTree::Name(name) => self.add(&with(&name.ident)),
            UseTree::Rename(rename) => self.add(&with(&rename.ident)),
            UseTree::Glob(_) => self.add(before),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_tree(tree, before)),
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        // Tests may use any module.
        if !is_test(&module.attrs) {
            syn::visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if !is_test(&item.attrs) {
            self.add_tree(&item.tree, &[]);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.add(&path.segments.iter().map(|segment| segment.ident.to_string()).collect::<Vec<_>>());
        syn::visit::visit_path(self, path);
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident("cfg") && tokens_of(attribute).contains("test"))
}

fn tokens_of(attribute: &Attribute) -> String {
    attribute.meta.require_list().map(|list| list.tokens.to_string()).unwrap_or_default()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the source files in a folder and its subfolders, without those of tests.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = folder.read_dir() else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("the folder is readable").path());
    let paths = paths.filter(|path| path.file_stem().is_none_or(|stem| stem != "tests"));
    let files = paths.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

fn paths(files: &[PathBuf]) -> BTreeSet<[String; 2]> {
    let mut paths = Paths::default();
    for file in files {
        let text = fs::read_to_string(file).expect("the source file is readable");
        paths.visit_file(&syn::parse_file(&text).expect("the source file is valid Rust"));
    }
    paths.0
}

/// Returns the modules in the table, each with the modules that it uses. `None` means all modules.
fn documented() -> BTreeMap<String, Option<Modules>> {
    let text = fs::read_to_string(root().join("src/lib.rs")).expect("src/lib.rs is readable");
    let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Modules>();
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! | [`"));
    rows.filter_map(|row| {
        let cells: Vec<_> = row.split('|').collect();
        let (name, uses) = (row.split('`').next()?, cells.get(2)?.trim());
        Some((name.to_owned(), (uses != "all modules").then(|| names(uses))))
    })
    .collect()
}

/// Returns the modules of the program, each with the modules that its code names.
fn actual() -> BTreeMap<String, Modules> {
    let src = root().join("src");
    let files = |name: &str| {
        let own = Some(src.join(format!("{name}.rs"))).filter(|file| file.exists());
        sources(&src.join(name)).into_iter().chain(own).collect::<Vec<_>>()
    };
    let text = fs::read_to_string(src.join("lib.rs")).expect("src/lib.rs is readable");
    let names: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let used = |name: &str| {
        let paths = paths(&files(name)).into_iter().filter(|[first, _]| first == "crate").map(|[_, second]| second);
        paths.filter(|other| other != name && names.contains(&other.as_str())).collect()
    };
    names.iter().map(|name| ((*name).to_owned(), used(name))).collect()
}

#[test]
fn each_module_uses_the_modules_in_the_table() {
    let documented = documented();
    let actual = actual();
    assert!(actual.len() > 8, "src/lib.rs has fewer modules than expected: {actual:?}");
    for (name, used) in &actual {
        let listed = documented.get(name).unwrap_or_else(|| panic!("the table in src/lib.rs has no row for `{name}`"));
        let others = || actual.keys().filter(|other| *other != name).cloned().collect();
        let listed = listed.clone().unwrap_or_else(others);
        assert_eq!(
            used, &listed,
            "`{name}` uses the modules on the left; the table in src/lib.rs lists those on the right"
        );
    }
}

#[test]
fn modules_do_not_depend_on_each_other_in_a_cycle() {
    let mut modules = actual();
    // Modules that use no others are removed repeatedly. If any are left, they form a cycle.
    while let Some(name) = modules.iter().find(|(_, used)| used.is_empty()).map(|(name, _)| name.clone()) {
        modules.remove(&name);
        for used in modules.values_mut() {
            used.remove(&name);
        }
    }
    assert!(modules.is_empty(), "a cycle: {modules:?}");
}

#[test]
fn crates_without_files_are_pure() {
    for (name, least) in [("engine", 10), ("companion", 10), ("insight", 3), ("locality", 10)] {
        let files = sources(&root().join("crates").join(name).join("src"));
        assert!(files.len() > least, "{name} has fewer source files than expected: {files:?}");
        let impure = ["env", "fs", "io", "net", "process", "thread", "time"];
        let found: Vec<_> = paths(&files)
            .into_iter()
            .filter(|[first, second]| first == "tokio" || (first == "std" && impure.contains(&second.as_str())))
            .collect();
        assert_eq!(found, <[[String; 2]; 0]>::default(), "{name}");
    }
}
