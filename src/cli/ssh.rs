//! `daust ssh [USER@]NODE`: the person's own ssh, with `daust nc` as its way to the node.

use crate::cli::options::Options;
use crate::cli::screen::Screen;
use crate::cli::wrong_words;
use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Becomes ssh; gives an exit status only where that is not possible.
pub fn run(arguments: &[String], options: &Options, screen: &mut Screen) -> i32 {
    let Some((target, more)) = arguments.split_first() else {
        return wrong_words(screen, "`ssh` wants a node");
    };
    let (user, node) = target.rsplit_once('@').unwrap_or(("", target));
    let host: String = node.chars().map(|c| if is_plain(c) { c } else { '-' }).collect();
    let begins_well =
        |text: &str| text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == ':');
    let user_is_well = user.is_empty() || (begins_well(user) && user.chars().all(is_plain));
    if !begins_well(node) || !user_is_well {
        return wrong_words(screen, &format!("`{target}` is no node that ssh could go to"));
    }
    let way = match way(node, options) {
        Ok(way) => way,
        Err(why) => {
            screen.fail("internal", &why);
            return screen.status();
        }
    };
    let mut command = Command::new("ssh");
    command.arg("-o").arg(format!("ProxyCommand={way}"));
    // Known by what was typed, whatever the node's address is today.
    command.arg("-o").arg(format!("HostKeyAlias={host}"));
    if !user.is_empty() {
        command.args(["-l", user]);
    }
    let error = command.arg("--").arg(host).args(more).exec();
    screen.fail("internal", &format!("ssh can not be run: {error}; install an ssh client"));
    screen.status()
}

/// In names of hosts and users.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._-:".contains(c)
}

/// What ssh gives to a shell, after it has put the port in.
fn way(node: &str, options: &Options) -> Result<String, String> {
    let own = std::env::current_exe().map_err(|e| format!("where is this program? {e}"))?;
    let mut way = quoted(own.as_os_str())?;
    if let Some(socket) = &options.socket {
        way += &format!(" -s {}", quoted(socket.as_os_str())?);
    }
    Ok(way + &format!(" nc -- {} %p", quoted(OsStr::new(node))?))
}

/// For a shell, and for ssh, to which % means something.
fn quoted(text: &OsStr) -> Result<String, String> {
    let text = text.to_str().ok_or("a path here is no text")?;
    Ok(format!("'{}'", text.replace('\'', r"'\''").replace('%', "%%")))
}
