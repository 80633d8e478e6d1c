//! A real terminal, tmux's, in which a command runs.

// Each test file is a crate of its own and uses a part of this.
#![allow(dead_code)]

use std::process::Command;
use std::time::Duration;

/// A terminal of tmux's.
pub struct Terminal {
    socket: String,
}

impl Terminal {
    fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux")
            .args(["-L", &self.socket, "-f", "/dev/null"])
            .args(arguments)
            .env("LC_ALL", "C.UTF-8")
            .output()
            .unwrap_or_else(|error| panic!("tmux cannot be run ({error}): install the Debian package tmux"));
        assert!(output.status.success(), "tmux {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// A terminal of that size, in which `command` runs.
    pub fn start(name: &str, columns: u16, command: &str) -> Terminal {
        let terminal = Terminal { socket: format!("imgsieve-{}-{name}", std::process::id()) };
        let columns = columns.to_string();
        terminal.tmux(&[
            "new-session",
            "-d",
            "-x",
            &columns,
            "-y",
            "30",
            &format!("{command}; echo ended $?; sleep 600"),
        ]);
        terminal
    }

    /// Presses a key: `C-c`.
    pub fn press(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    /// Makes it so many columns wide.
    pub fn resize(&self, columns: u16) {
        self.tmux(&["resize-window", "-x", &columns.to_string()]);
    }

    /// What it shows.
    pub fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    /// Waits until it shows what `is_there` knows.
    pub fn wait_for(&self, is_there: impl Fn(&str) -> bool) -> String {
        for _ in 0..2000 {
            let screen = self.screen();
            if is_there(&screen) {
                return screen;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it never comes: {}", self.screen());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-L", &self.socket, "kill-server"]).status();
    }
}
