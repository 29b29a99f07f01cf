//! What the kernel says of this process, for the figures that every exporter gives.

use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{SysconfVar, sysconf};
use std::fs;

/// Of /proc/self/stat, counted behind the name: time in the program and in the kernel, memory.
const USER_TIME: usize = 11;
const SYSTEM_TIME: usize = 12;
const VIRTUAL_MEMORY: usize = 20;
const RESIDENT_PAGES: usize = 21;

#[derive(Debug, Default, PartialEq)]
pub struct Process {
    pub cpu_s: f64,
    pub virtual_bytes: u64,
    pub resident_bytes: u64,
    pub files: u64,
    pub files_max: u64,
}

impl Process {
    /// What can not be read is zero.
    pub fn read() -> Process {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let of_system = |what, usual| sysconf(what).ok().flatten().unwrap_or(usual) as u64;
        let ticks = of_system(SysconfVar::CLK_TCK, 100);
        let page_bytes = of_system(SysconfVar::PAGE_SIZE, 4_096);
        // The directory itself is open while it is read.
        let files =
            fs::read_dir("/proc/self/fd").map_or(0, |files| files.count().saturating_sub(1));
        let files_max = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(now, _)| now);
        Process { files: files as u64, files_max, ..Process::of(&stat, ticks, page_bytes) }
    }

    fn of(stat: &str, ticks: u64, page_bytes: u64) -> Process {
        // The name may have anything in it.
        let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let field = |at| rest.split_whitespace().nth(at).and_then(|text| text.parse().ok());
        let field = |at| field(at).unwrap_or(0_u64);
        Process {
            cpu_s: (field(USER_TIME) + field(SYSTEM_TIME)) as f64 / ticks as f64,
            virtual_bytes: field(VIRTUAL_MEMORY),
            resident_bytes: field(RESIDENT_PAGES) * page_bytes,
            ..Process::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_counts_behind_the_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 150 0 2 0 250 50 0 0 20 0 3 0 900 12345 \
                    678 18446744073709551615";
        let found = Process::of(stat, 100, 4_096);
        assert_eq!((found.cpu_s, found.virtual_bytes), (3.0, 12_345));
        assert_eq!(found.resident_bytes, 678 * 4_096);
        assert_eq!(Process::of("nonsense", 100, 4_096), Process::default());
    }

    #[test]
    fn this_process_has_memory_and_files() {
        let found = Process::read();
        assert!(found.resident_bytes > 100_000 && found.virtual_bytes > found.resident_bytes);
        assert!((3..=found.files_max).contains(&found.files), "{found:?}");
    }
}
