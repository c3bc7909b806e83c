//! Facts about this machine and its processes, from `/proc`.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};

/// The length of a clock tick in `/proc/PID/stat`: `USER_HZ` is 100 on all supported architectures.
const TICK: Duration = Duration::from_millis(10);

/// The name of the first processor in `/proc/cpuinfo`; some architectures have none.
pub(crate) fn cpu_name(cpuinfo: &str) -> Option<&str> {
    cpuinfo.lines().find_map(|line| field(line, "model name"))
}

/// The cores that a process may run on, from its `/proc/PID/status`.
pub(crate) fn allowed_cores(status: &str) -> Vec<usize> {
    let list = status.lines().find_map(|line| field(line, "Cpus_allowed_list")).unwrap_or_default();
    let range = |part: &str| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        Some(from.parse().ok()?..=to.parse().ok()?)
    };
    list.split(',').filter_map(range).flatten().collect()
}

/// The cores of a server and of its client.
pub(crate) struct Cores {
    pub(crate) server: usize,
    pub(crate) client: usize,
}

impl Cores {
    /// Returns the first and the last core that this process may run on.
    pub(crate) fn of_this_process() -> anyhow::Result<Self> {
        let cores = allowed_cores(&fs::read_to_string("/proc/self/status")?);
        let (server, client) = (*cores.first().context("no core")?, *cores.last().context("no core")?);
        if server == client {
            println!("\nThere is only one core: the server shares it with its client.");
        }
        Ok(Self { server, client })
    }
}

/// Pins this process to one core.
pub(crate) fn pin(core: usize) -> anyhow::Result<()> {
    let (core, id) = (core.to_string(), std::process::id().to_string());
    let status = Command::new("taskset").args(["--cpu-list", "--pid", &core, &id]).stdout(Stdio::null()).status()?;
    ensure!(status.success(), "taskset: {status}");
    Ok(())
}

/// The resident memory of a process in bytes, from its `/proc/PID/status`.
pub(crate) fn resident(status: &str) -> Option<u64> {
    let size = status.lines().find_map(|line| field(line, "VmRSS"))?;
    Some(size.strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// The user and system CPU time of a process, from its `/proc/PID/stat`.
pub(crate) fn cpu_time(stat: &str) -> Option<Duration> {
    // The program's name is in brackets, and may contain brackets and spaces. The state follows as the 3rd field; the two times
    // are the 14th and 15th.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map_while(|field| field.parse::<u32>().ok());
    Some(TICK * (times.next()? + times.next()?))
}

fn field<'t>(line: &'t str, name: &str) -> Option<&'t str> {
    line.strip_prefix(name)?.trim_start().strip_prefix(':').map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str =
        "Name:\tcolocate\nVmHWM:\t    8012 kB\nVmRSS:\t    7540 kB\nCpus_allowed:\t3d\nCpus_allowed_list:\t0,2-5\n";

    #[test]
    fn a_processor_may_have_a_name() {
        assert_eq!(cpu_name("processor\t: 0\nmodel\t\t: 1\nmodel name\t: A CPU @ 2 GHz\n"), Some("A CPU @ 2 GHz"));
        assert_eq!(cpu_name("processor\t: 0\nBogoMIPS\t: 50.00\n"), None);
    }

    #[test]
    fn cores_are_a_list_of_ranges() {
        assert_eq!(allowed_cores(STATUS), [0, 2, 3, 4, 5]);
        assert_eq!(allowed_cores("Cpus_allowed_list:\t7\n"), [7]);
        assert!(allowed_cores("").is_empty());
    }

    #[test]
    fn memory_is_the_current_resident_set() {
        assert_eq!(resident(STATUS), Some(7540 * 1024));
        assert_eq!(resident("Name:\ta zombie\n"), None);
    }

    #[test]
    fn cpu_time_is_user_and_system_time() {
        let stat =
            "42 (a) program (b) S 1 42 42 0 -1 4194560 1203 0 7 0 150 25 3 4 20 0 2 0 996 11608064 1885 18446744";
        assert_eq!(cpu_time(stat), Some(Duration::from_millis(1750)));
        assert_eq!(cpu_time("42 (a) S 1"), None);
        assert_eq!(cpu_time(""), None);
    }
}
