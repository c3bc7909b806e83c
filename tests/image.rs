//! The Dockerfile matches the program, and `image/build` calls cargo and the image builder correctly. Scripts stand in for both,
//! so no image is built.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The tools that `image/build` always needs.
const TOOLS: [&str; 13] =
    ["basename", "bash", "dirname", "env", "git", "install", "mkdir", "realpath", "rm", "sed", "stat", "touch", "tr"];

// Stand-ins for the programs of an amd64 machine. They succeed and record their arguments.

const UNAME: &str = "echo x86_64";
const RUSTC: &str = r#"echo "$MACHINE""#;
const CARGO: &str = r#"
echo "cargo $* flags:${CARGO_ENCODED_RUSTFLAGS//$'\x1f'/ } linker:${CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER:-}" >>"$MACHINE/calls"
for target in x86_64-unknown-linux-gnu aarch64-unknown-linux-gnu; do
  install -D -m 0755 "$MACHINE/program" "$CARGO_TARGET_DIR/$target/dist/colocate"
done"#;
const BUILDAH: &str = r#"
echo "buildah $*" >>"$MACHINE/calls"
case $1 in
push) archive=${4#docker-archive:} ;;
manifest) [[ $2 == push ]] && archive=${6#oci-archive:} ;;
esac
[[ -z ${archive:-} ]] || echo image >"${archive%%:*}""#;
const DOCKER: &str = r#"
echo "docker $*" >>"$MACHINE/calls"
[[ $1 != save ]] || echo image >"$3""#;
const DOCKER_WITH_OUTPUT: &str = r#"
echo "docker $*" >>"$MACHINE/calls"
for argument in "$@"; do [[ $argument != type=oci,dest=* ]] || echo image >"${argument#type=oci,dest=}"; done"#;
const GCC: &str = "exit 1";
const READELF: &str = "echo LOAD";

struct Machine {
    folder: TempDir,
}

impl Machine {
    /// Creates a machine that can build for amd64 with buildah.
    fn new() -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(machine.path("bin")).unwrap();
        for tool in TOOLS {
            let found =
                ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(tool)).into_iter().find(|path| path.exists());
            symlink(found.unwrap_or_else(|| panic!("{tool} is not installed")), machine.path("bin").join(tool))
                .unwrap();
        }
        machine
            .with("uname", UNAME)
            .with("rustc", RUSTC)
            .with("cargo", CARGO)
            .with("buildah", BUILDAH)
            .with("readelf", READELF)
            .program(&format!("echo colocate {VERSION}"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn with(self, name: &str, script: &str) -> Self {
        let path = self.path("bin").join(name);
        let _ = fs::remove_file(&path);
        write_script(&path, script);
        self
    }

    fn without(self, name: &str) -> Self {
        fs::remove_file(self.path("bin").join(name)).unwrap();
        self
    }

    /// Sets the script that stands in for the compiled program.
    fn program(self, script: &str) -> Self {
        write_script(&self.path("program"), script);
        self
    }

    /// Runs `image/build`. Returns the path of the archive and the recorded calls; on failure, the standard error.
    fn build(&self, variables: &[(&str, &str)]) -> Result<(String, String), String> {
        let output = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("image/build"))
            .env_clear()
            .env("PATH", self.path("bin"))
            .env("MACHINE", self.folder.path())
            .env("HOME", self.folder.path())
            .env("CARGO_TARGET_DIR", self.path("target"))
            .env("SOURCE_DATE_EPOCH", "1700000000")
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        if !output.status.success() {
            return Err(text(output.stderr));
        }
        let archive = text(output.stdout).trim_end().to_owned();
        assert!(Path::new(&archive).is_file(), "the archive `{archive}` does not exist");
        Ok((archive, fs::read_to_string(self.path("calls")).unwrap()))
    }
}

fn write_script(path: &Path, script: &str) {
    fs::write(path, format!("#!/usr/bin/env bash\n{script}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn dockerfile() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Dockerfile")).unwrap()
}

/// Returns the arguments of each instruction with this name in the Dockerfile.
fn instructions<'a>(dockerfile: &'a str, name: &str) -> Vec<&'a str> {
    dockerfile.lines().filter_map(|line| line.strip_prefix(name)).map(str::trim).collect()
}

#[test]
fn the_dockerfile_has_one_program_and_a_numeric_user() {
    let dockerfile = dockerfile();
    assert_eq!(instructions(&dockerfile, "FROM "), ["scratch"]);
    assert_eq!(instructions(&dockerfile, "COPY "), ["${TARGETARCH}/colocate /colocate"]);
    assert_eq!(instructions(&dockerfile, "ENTRYPOINT "), [r#"["/colocate"]"#]);
    let [tunable] = instructions(&dockerfile, "ENV ")[..] else { panic!("expected one ENV instruction") };
    assert!(
        include_str!("../docs/running.md").contains(&format!("`{tunable}`")),
        "docs/running.md does not mention `{tunable}`"
    );
    for instruction in ["ADD ", "RUN "] {
        assert!(instructions(&dockerfile, instruction).is_empty(), "{instruction}");
    }
    let [user] = instructions(&dockerfile, "USER ")[..] else { panic!("expected one USER instruction") };
    let ids: Vec<u32> = user.split(':').map(|id| id.parse().unwrap()).collect();
    assert!(ids.len() == 2 && ids.iter().all(|id| *id >= 1000), "{user}");
}

#[test]
fn the_labels_match_cargo_toml() {
    let dockerfile = dockerfile();
    let label = |name: &str| {
        let found = dockerfile.split(&format!("org.opencontainers.image.{name}=\"")).nth(1);
        found.unwrap_or_else(|| panic!("the Dockerfile has no label {name}")).split('"').next().unwrap().to_owned()
    };
    assert_eq!(label("title"), env!("CARGO_PKG_NAME"));
    assert_eq!(label("description"), env!("CARGO_PKG_DESCRIPTION"));
    assert_eq!(label("licenses"), env!("CARGO_PKG_LICENSE"));
    assert_eq!(vec![label("base.name").as_str()], instructions(&dockerfile, "FROM "));
    assert_eq!((label("version"), label("revision")), ("${VERSION}".to_owned(), "${REVISION}".to_owned()));
}

#[test]
fn the_exposed_ports_are_the_default_ports_of_serve() {
    let output = Command::new(env!("CARGO_BIN_EXE_colocate")).args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let ports: Vec<_> = help.split("[default: 0.0.0.0:").skip(1).map(|rest| rest.split(']').next().unwrap()).collect();
    assert_eq!(instructions(&dockerfile(), "EXPOSE "), [ports.join(" ")]);
}

#[test]
fn the_program_is_static_and_contains_no_local_path() {
    let machine = Machine::new();
    let (archive, calls) = machine.build(&[]).unwrap();
    assert!(archive.ends_with(&format!("/target/image/colocate-{VERSION}-amd64.tar")), "{archive}");

    // The second call removes an older image of the same name.
    let [cargo, _, build, push] = calls.lines().collect::<Vec<_>>()[..] else { panic!("{calls}") };
    assert!(
        cargo.starts_with("cargo build --locked --profile dist --target x86_64-unknown-linux-gnu --bin colocate "),
        "{cargo}"
    );
    for flag in ["target-feature=+crt-static", "link-arg=-Wl,-z,pack-relative-relocs"] {
        assert!(cargo.contains(&format!("-C {flag} ")), "no {flag} in {cargo}");
    }
    for (path, name) in [(".cargo", "/cargo"), ("target", "/target")] {
        let flag = format!("--remap-path-prefix {}={name}", machine.path(path).display());
        assert!(cargo.contains(&flag), "no {flag} in {cargo}");
    }
    assert!(cargo.contains(&format!("{}=/colocate", env!("CARGO_MANIFEST_DIR"))), "{cargo}");

    for part in [
        " --timestamp 1700000000 ",
        " --platform linux/amd64 ",
        " --identity-label=false ",
        &format!(" --build-arg VERSION={VERSION} "),
        " --label org.opencontainers.image.created=2023-11-14T22:13:20Z ",
        " --annotation org.opencontainers.image.created=2023-11-14T22:13:20Z ",
        " --annotation org.opencontainers.image.base.name=scratch ",
        " --annotation org.opencontainers.image.licenses=Apache-2.0 ",
        &format!(" --annotation org.opencontainers.image.description={} ", env!("CARGO_PKG_DESCRIPTION")),
        &format!(" --annotation org.opencontainers.image.version={VERSION} "),
        &format!(" --tag colocate:{VERSION} "),
    ] {
        assert!(build.contains(part), "no{part}in {build}");
    }
    assert_eq!(push, format!("buildah push --quiet colocate:{VERSION} docker-archive:{archive}:colocate:{VERSION}"));

    let program = machine.path("target/image/context/amd64/colocate");
    let changed = fs::metadata(program).unwrap().modified().unwrap();
    assert_eq!(changed.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs(), 1_700_000_000);
}

#[test]
fn registry_variable_prefixes_the_name_and_image_replaces_it() {
    for (variable, value, name) in [
        ("REGISTRY", "registry.example.com/team", format!("registry.example.com/team/colocate:{VERSION}")),
        ("IMAGE", "other:1", "other:1".to_owned()),
    ] {
        let (_, calls) = Machine::new().build(&[(variable, value)]).unwrap();
        assert!(calls.contains(&format!("--tag {name} ")), "{calls}");
    }
}

#[test]
fn source_variable_adds_the_labels_with_addresses() {
    let source = "https://git.example.com/colocate";
    let labels = ["source", "url", "documentation"].map(|label| format!(" --label org.opencontainers.image.{label}="));
    for builder in ["buildah", "docker"] {
        let machine = || Machine::new().with("docker", DOCKER);
        let (_, calls) = machine().build(&[("BUILDER", builder), ("SOURCE", source)]).unwrap();
        assert!(labels.iter().all(|label| calls.contains(&format!("{label}{source} "))), "{calls}");
        let (_, calls) = machine().build(&[("BUILDER", builder)]).unwrap();
        assert!(!labels.iter().any(|label| calls.contains(label)), "{calls}");
    }
}

#[test]
fn two_architectures_make_one_manifest_list() {
    let machine = Machine::new().with("aarch64-linux-gnu-gcc", GCC);
    let (archive, calls) = machine.build(&[("ARCH", "amd64 arm64")]).unwrap();
    assert!(archive.ends_with(&format!("/colocate-{VERSION}-amd64-arm64.tar")), "{archive}");
    for part in [
        "--target aarch64-unknown-linux-gnu --bin colocate ",
        "linker:aarch64-linux-gnu-gcc",
        &format!("--platform linux/amd64 --manifest colocate:{VERSION} "),
        &format!("--platform linux/arm64 --manifest colocate:{VERSION} "),
        &format!("oci-archive:{archive}:colocate:{VERSION}"),
    ] {
        assert!(calls.contains(part), "no `{part}` in {calls}");
    }
    let list: Vec<_> = calls.lines().filter(|call| call.starts_with("buildah ")).collect();
    assert_eq!(
        list[0],
        format!("buildah manifest rm colocate:{VERSION}"),
        "`buildah build --manifest` would add to an existing list"
    );
    assert!(list[1].contains("linux/amd64") && list[2].contains("linux/arm64"), "not in the order of ARCH: {calls}");
    for arch in ["amd64", "arm64"] {
        assert!(machine.path("target/image/context").join(arch).join("colocate").exists());
    }
}

#[test]
fn a_release_for_one_architecture_is_an_oci_archive() {
    let (archive, calls) = Machine::new().build(&[("FORMAT", "oci")]).unwrap();
    assert!(calls.contains(&format!("oci-archive:{archive}:colocate:{VERSION}")), "{calls}");
    let machine = Machine::new().with("docker", DOCKER_WITH_OUTPUT);
    let (archive, calls) = machine.build(&[("FORMAT", "oci"), ("BUILDER", "docker")]).unwrap();
    assert!(calls.contains(&format!("--output type=oci,dest={archive} ")), "{calls}");
    for (format, archs) in [("tar", "amd64"), ("docker", "amd64 arm64")] {
        let machine = Machine::new().with("aarch64-linux-gnu-gcc", GCC);
        let error = machine.build(&[("FORMAT", format), ("ARCH", archs)]).unwrap_err();
        assert!(error.contains(&format!("invalid FORMAT `{format}`: use oci")), "{error}");
    }
    // `release/build` is not run by tests, because it compiles.
    let release = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("release/build")).unwrap();
    assert!(release.contains("FORMAT=oci image/build"), "{release}");
}

#[test]
fn docker_builds_the_image_if_buildah_is_missing() {
    let machine = Machine::new().without("buildah").with("docker", DOCKER);
    let (archive, calls) = machine.build(&[]).unwrap();
    assert!(calls.contains(&format!("--tag colocate:{VERSION} --load ")), "{calls}");
    assert!(calls.contains(&format!("docker save --output {archive} colocate:{VERSION}")), "{calls}");
}

#[test]
fn a_missing_tool_is_named_with_the_command_that_installs_it() {
    for (machine, arch, message) in [
        (Machine::new().without("buildah"), "amd64", "apt-get install buildah"),
        (Machine::new().without("cargo"), "amd64", "https://rustup.rs"),
        (Machine::new().with("rustc", "echo /none"), "arm64", "rustup target add aarch64-unknown-linux-gnu"),
        (Machine::new(), "arm64", "apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross"),
        (
            Machine::new().with("uname", "echo aarch64"),
            "amd64",
            "apt-get install gcc-x86-64-linux-gnu libc6-dev-amd64-cross",
        ),
        (Machine::new().without("buildah").with("docker", "exit 1"), "amd64", "apt-get install docker-buildx"),
        (Machine::new(), "riscv64", "invalid ARCH `riscv64`: use amd64, arm64 or both ('amd64 arm64')"),
    ] {
        let error = machine.build(&[("ARCH", arch)]).unwrap_err();
        assert!(error.contains(message), "expected {message} in: {error}");
        assert!(!machine.path("target").exists(), "the build continued after: {error}");
    }
}

#[test]
fn an_invalid_program_is_not_put_into_an_image() {
    for (machine, message) in [
        (Machine::new().with("readelf", "echo INTERP"), "is not static"),
        (Machine::new().program("echo colocate 0.0.0"), &*format!("is not version {VERSION}")),
        (
            Machine::new().program(&format!("echo colocate {VERSION}; exit\n{}", " ".repeat(25_000_000))),
            "more than 25000000",
        ),
        (Machine::new().with("cargo", "exit 1"), ""),
    ] {
        let error = machine.build(&[]).unwrap_err();
        assert!(error.contains(message), "expected {message} in: {error}");
        let calls = fs::read_to_string(machine.path("calls")).unwrap_or_default();
        assert!(!calls.contains("buildah"), "{calls}");
    }
}
