//! The map in `src/lib.rs` is true: which room uses which, exactly, and no two use each other. Between the crates, the
//! compiler checks it.

#![allow(clippy::expect_used, reason = "a test that panics has failed, as it should")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::Visit;
use syn::{Attribute, ItemMod, ItemUse, UseTree};

type Rooms = BTreeSet<String>;

/// Collects the first two segments of every path of a file that does not belong to a test.
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
        // Tests may borrow from other rooms.
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
    attributes.iter().any(|attribute| attribute.path().is_ident("cfg") && quote_of(attribute).contains("test"))
}

fn quote_of(attribute: &Attribute) -> String {
    attribute.meta.require_list().map(|list| list.tokens.to_string()).unwrap_or_default()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The sources below a folder, without the files of tests.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = folder.read_dir() else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("a folder can be read").path());
    let paths = paths.filter(|path| path.file_stem().is_none_or(|stem| stem != "tests"));
    let files = paths.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

fn paths(files: &[PathBuf]) -> BTreeSet<[String; 2]> {
    let mut paths = Paths::default();
    for file in files {
        let text = fs::read_to_string(file).expect("a source can be read");
        paths.visit_file(&syn::parse_file(&text).expect("a source can be parsed"));
    }
    paths.0
}

/// The rooms of the map, each with the rooms that it uses; `None` stands for all.
fn map() -> BTreeMap<String, Option<Rooms>> {
    let text = fs::read_to_string(root().join("src/lib.rs")).expect("there is a map");
    let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Rooms>();
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! | [`"));
    rows.filter_map(|row| {
        let cells: Vec<_> = row.split('|').collect();
        let (name, uses) = (row.split('`').next()?, cells.get(2)?.trim());
        Some((name.to_owned(), (uses != "all modules").then(|| names(uses))))
    })
    .collect()
}

/// The rooms of the program, each with the rooms that its code names.
fn rooms() -> BTreeMap<String, Rooms> {
    let src = root().join("src");
    let files = |name: &str| {
        let own = Some(src.join(format!("{name}.rs"))).filter(|file| file.exists());
        sources(&src.join(name)).into_iter().chain(own).collect::<Vec<_>>()
    };
    let text = fs::read_to_string(src.join("lib.rs")).expect("there is a map");
    let names: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let used = |name: &str| {
        let paths = paths(&files(name)).into_iter().filter(|[first, _]| first == "crate").map(|[_, second]| second);
        paths.filter(|other| other != name && names.contains(&other.as_str())).collect()
    };
    names.iter().map(|name| ((*name).to_owned(), used(name))).collect()
}

#[test]
fn each_room_uses_what_the_map_says() {
    let (map, rooms) = (map(), rooms());
    assert!(rooms.len() > 8, "they are somewhere else: {rooms:?}");
    for (name, used) in &rooms {
        let told = map.get(name).unwrap_or_else(|| panic!("the map does not have `{name}`"));
        let others = || rooms.keys().filter(|other| *other != name).cloned().collect();
        assert_eq!(used, &told.clone().unwrap_or_else(others), "`{name}`: what it uses, and what the map says");
    }
}

#[test]
fn no_two_rooms_use_each_other() {
    let mut rooms = rooms();
    // Rooms that use no other are taken away again and again; what is left is a circle.
    while let Some(name) = rooms.iter().find(|(_, used)| used.is_empty()).map(|(name, _)| name.clone()) {
        rooms.remove(&name);
        for used in rooms.values_mut() {
            used.remove(&name);
        }
    }
    assert!(rooms.is_empty(), "a circle: {rooms:?}");
}

#[test]
fn the_engine_and_the_companion_are_pure() {
    for name in ["engine", "companion"] {
        let files = sources(&root().join("crates").join(name).join("src"));
        assert!(files.len() > 10, "it is somewhere else: {files:?}");
        let impure = ["env", "fs", "io", "net", "process", "thread", "time"];
        let found: Vec<_> = paths(&files)
            .into_iter()
            .filter(|[first, second]| first == "tokio" || (first == "std" && impure.contains(&second.as_str())))
            .collect();
        assert_eq!(found, <[[String; 2]; 0]>::default(), "{name}");
    }
}
