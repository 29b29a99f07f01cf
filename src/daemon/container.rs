//! Whether this machine is a container: then its life is taken to be a short one unless somebody says
//! else, and the node at its gateway may say that it ended.

use std::fs;
use std::path::Path;

/// Files that makers of containers leave in them: Docker, Podman, and systemd in any other.
const MARKS: [&str; 3] = ["/.dockerenv", "/run/.containerenv", "/run/systemd/container"];
/// Where a kernel with one tree of control groups a container shows which it is in.
const GROUPS: [&str; 4] = ["/docker", "/lxc", "/kubepods", "/libpod"];

/// What shows it; None: nothing does.
pub fn mark() -> Option<&'static str> {
    mark_below(Path::new("/"))
}

fn mark_below(root: &Path) -> Option<&'static str> {
    let below = |path: &str| root.join(path.trim_start_matches('/'));
    if let Some(mark) = MARKS.into_iter().find(|path| below(path).exists()) {
        return Some(mark);
    }
    // What cannot be read shows nothing.
    let variables = fs::read(below("/proc/1/environ")).unwrap_or_default();
    let named = variables.split(|byte| *byte == 0).any(|one| one.starts_with(b"container="));
    let groups = fs::read_to_string(below("/proc/1/cgroup")).unwrap_or_default();
    let grouped = groups.lines().any(|line| GROUPS.iter().any(|group| line.contains(group)));
    match (named, grouped) {
        (true, _) => Some("container= in /proc/1/environ"),
        (_, true) => Some("/proc/1/cgroup"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mark_alone_shows_it() {
        let top = std::env::temp_dir().join(format!("herd-container-{}", std::process::id()));
        let cases = [
            ("nothing", "", None),
            (".dockerenv", "", Some("/.dockerenv")),
            ("run/.containerenv", "", Some("/run/.containerenv")),
            ("run/systemd/container", "lxc", Some("/run/systemd/container")),
            ("proc/1/environ", "A=1\0container=lxc\0", Some("container= in /proc/1/environ")),
            ("proc/1/environ", "A=1\0my_container=1\0", None),
            ("proc/1/cgroup", "4:memory:/docker/0123\n", Some("/proc/1/cgroup")),
            ("proc/1/cgroup", "0::/init.scope\n", None),
        ];
        for (number, (name, text, expected)) in cases.into_iter().enumerate() {
            let path = top.join(number.to_string()).join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            assert_eq!(mark_below(&top.join(number.to_string())), expected, "{name}: {text}");
        }
        fs::remove_dir_all(&top).unwrap();
    }
}
