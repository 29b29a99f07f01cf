//! Makes a screen of what `top` shows: from the view to a frame, nothing else.

use crate::cli::top::view::{Line, View};
use crate::client::render::escape;
use crate::client::table::{COLUMNS, Column, GAP, duration, fitting};
use crate::wire::info::State;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

const STATES: [State; 4] = [State::Alive, State::Suspect, State::Down, State::Left];
/// Lines that are not nodes: two of the herd, what is wrong or filtered, the headings, and the keys.
const ABOVE: u16 = 4;
const BELOW: u16 = 1;

pub fn draw(frame: &mut Frame, view: &mut View, now_unix_s: u64) {
    let area = frame.area();
    let lines = view.lines(now_unix_s);
    view.room = usize::from(area.height.saturating_sub(ABOVE + BELOW));
    view.first = view.first.min(lines.len().saturating_sub(view.room));
    let mut page = Page { buffer: frame.buffer_mut(), area };
    page.line(0, &own(view, now_unix_s), Modifier::BOLD.into());
    page.line(1, &counts(view), Style::new());
    page.line(2, &notice(view), Color::Yellow.into());
    page.table(view, &lines);
    page.line(area.height.saturating_sub(1), &keys(view, lines.len()), Modifier::DIM.into());
}

/// The own node and its herd.
fn own(view: &View, now_unix_s: u64) -> String {
    let Some(own) = view.nodes.first() else { return "herd".to_string() };
    let cell = |column: Column| column.cell(own, now_unix_s);
    let (address, uptime) = (cell(Column::Address), cell(Column::Uptime));
    format!("{}  {address}  up {uptime}  herd: {}", escape(&own.name), view.herd)
}

fn counts(view: &View) -> String {
    let count = |state| view.nodes.iter().filter(|node| node.state == state).count();
    let counts = STATES.map(|state| format!("{} {}", count(state), state.word()));
    format!("{} nodes: {}", view.nodes.len(), counts.join(", "))
}

/// What is wrong, else what is filtered.
fn notice(view: &View) -> String {
    match (&view.trouble, view.stale_ms) {
        (Some(why), _) => format!("waiting for daustd: {why}"),
        (None, Some(stale_ms)) => {
            let since = duration(stale_ms / 1_000);
            format!("this node believes itself cut off since {since}: what it shows is old")
        }
        (None, None) if view.typing => format!("filter: {}_", escape(&view.filter)),
        (None, None) if !view.filter.is_empty() => format!("filter: {}", escape(&view.filter)),
        (None, None) => String::new(),
    }
}

fn keys(view: &View, lines: usize) -> String {
    let way = if view.backwards { ", backwards" } else { "" };
    let (first, last) = (view.first + 1, (view.first + view.room).min(lines));
    let shown = format!("{first}-{last} of {lines}");
    let part = if lines > view.room { shown } else { String::new() };
    let shape = if view.tree { "t list" } else { "t tree" };
    let keys = match view.typing {
        true => "Enter keep  Esc clear".to_string(),
        false => format!("q quit  / filter  {shape}  r reverse  <- -> sort"),
    };
    format!("{keys}  by {}{way}  {part}", view.sorted_by().heading())
}

struct Page<'a> {
    buffer: &'a mut Buffer,
    area: Rect,
}

impl Page<'_> {
    fn line(&mut self, y: u16, text: &str, style: Style) {
        self.put(0, y, text, style);
    }

    /// As much as there is room for.
    fn put(&mut self, x: usize, y: u16, text: &str, style: Style) {
        let x = u16::try_from(x).unwrap_or(u16::MAX);
        if x < self.area.width && y < self.area.height {
            let room = usize::from(self.area.width - x);
            self.buffer.set_stringn(self.area.x + x, self.area.y + y, text, room, style);
        }
    }

    fn table(&mut self, view: &View, lines: &[Line]) {
        let cells: Vec<[String; 8]> = lines.iter().map(|line| line.cells.clone()).collect();
        let columns = fitting(&cells, Some(self.area.width.into()));
        let headings = COLUMNS.map(|column| column.heading().to_string());
        let heading = |column| match column == view.sorted_by() {
            true => Modifier::REVERSED | Modifier::BOLD,
            false => Modifier::BOLD,
        };
        self.row(ABOVE - 1, &columns, &headings, |column| heading(column).into());
        let shown = lines.iter().skip(view.first).take(view.room);
        for (y, line) in (ABOVE..).zip(shown) {
            let node = &view.nodes[line.at];
            // What is no longer told is pale.
            let style = match view.trouble {
                Some(_) => Modifier::DIM.into(),
                None => style(node.state),
            };
            self.row(y, &columns, &line.cells, |_| style);
        }
    }

    fn row(
        &mut self,
        y: u16,
        columns: &[(Column, usize)],
        cells: &[String; 8],
        style: impl Fn(Column) -> Style,
    ) {
        let mut x = 0;
        for (column, wide) in columns {
            self.put(x, y, &cells[*column as usize], style(*column));
            x += wide + GAP;
        }
    }
}

fn style(state: State) -> Style {
    match state {
        State::Alive => Style::new(),
        State::Suspect => Color::Yellow.into(),
        State::Down => Color::Red.into(),
        State::Left => Modifier::DIM.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::info::NodeInfo;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::termion::event::Key;

    fn node(name: &str, state: State, parent: &str) -> NodeInfo {
        NodeInfo {
            name: name.into(),
            state,
            parent: parent.into(),
            hidden: !parent.is_empty(),
            internal_ip: Some([192, 168, 1, 2].into()),
            version: "0.1.0".into(),
            started_unix_s: 1_000,
            ..NodeInfo::default()
        }
    }

    fn view() -> View {
        let nodes = vec![
            node("node1", State::Alive, ""),
            node("vm 2\u{1b}[2J", State::Down, "node1"),
            node("vm 10", State::Alive, "node1"),
        ];
        let mut view = View::default();
        view.set(nodes, None, "open".into());
        view
    }

    /// The screen, without what is empty at the end of its lines.
    fn screen(view: &mut View, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, view, 4_660)).unwrap();
        let content = terminal.backend().buffer().content();
        let lines = content.chunks(width.into());
        let text = |line: &[ratatui::buffer::Cell]| {
            line.iter().map(|cell| cell.symbol()).collect::<String>().trim_end().to_string()
        };
        lines.map(text).collect()
    }

    #[test]
    fn a_whole_screen() {
        let expected = [
            "node1  192.168.1.2  up 1 h 1 min  herd: open",
            "3 nodes: 2 alive, 0 suspect, 1 down, 0 left",
            "",
            "NAME           STATE  ADDRESS      PARENT  ROUND TRIP  LAST SEEN  VERSION  UPTIME",
            "node1          alive  192.168.1.2  -       -           0 s ago    0.1.0    1 h 1 min",
            r"vm 2\u{1b}[2J  down   192.168.1.2  node1   -           0 s ago    0.1.0    -",
            "vm 10          alive  192.168.1.2  node1   -           0 s ago    0.1.0    1 h 1 min",
            "",
            "q quit  / filter  t tree  r reverse  <- -> sort  by NAME",
        ];
        assert_eq!(screen(&mut view(), 100, 9), expected);
    }

    #[test]
    fn narrow_screens_have_fewer_columns() {
        let mut view = view();
        for width in 40..=300 {
            let lines = screen(&mut view, width, 9);
            let cells: Vec<&str> = lines[6].split("  ").filter(|cell| !cell.is_empty()).collect();
            let whole = ["vm 10", "alive", "192.168.1.2", "node1", "-", "0 s ago", "0.1.0"];
            let known = |cell: &str| whole.contains(&cell) || cell == "1 h 1 min";
            let broken: Vec<_> = cells.iter().filter(|cell| !known(cell.trim())).collect();
            assert!(broken.is_empty(), "{width}: {broken:?} {lines:#?}");
            assert!(cells.len() >= 3 && (width < 90 || cells.len() == 8), "{width}: {lines:#?}");
        }
        for (width, height) in [(1, 1), (5, 3), (40, 4), (3, 40)] {
            assert_eq!(screen(&mut view, width, height).len(), usize::from(height));
        }
    }

    #[test]
    fn a_long_list_is_scrolled() {
        let mut view = View::default();
        let names = (1..=30).map(|number| node(&format!("n{number}"), State::Alive, ""));
        view.set(names.collect(), None, "open".into());
        let lines = screen(&mut view, 80, 15);
        assert!(lines[4].starts_with("n1 ") && lines[13].starts_with("n10 "), "{lines:#?}");
        assert!(lines[14].ends_with("1-10 of 30"), "{lines:#?}");
        view.press(Key::PageDown);
        view.press(Key::Down);
        assert!(screen(&mut view, 80, 15)[4].starts_with("n12 "));
        view.press(Key::End);
        let lines = screen(&mut view, 80, 15);
        assert!(lines[4].starts_with("n21 ") && lines[14].ends_with("21-30 of 30"), "{lines:#?}");
        // The herd, or the screen, grew smaller.
        assert!(screen(&mut view, 80, 40)[4].starts_with("n1 "));
    }

    #[test]
    fn what_is_wrong_stands_above_what_was_known() {
        let mut view = view();
        view.trouble("nobody listens on /x");
        let lines = screen(&mut view, 80, 9);
        assert_eq!(lines[2], "waiting for daustd: nobody listens on /x");
        assert!(lines[4].starts_with("node1"));
        view.told_unix_s = 4_600;
        assert!(screen(&mut view, 80, 9)[4].contains("1 min ago"), "ages are counted on");
        view.set(Vec::new(), Some(61_000), "open".into());
        assert!(screen(&mut view, 80, 9)[2].contains("cut off since 1 min"));
        let mut view = View::default();
        assert_eq!(screen(&mut view, 80, 9)[0], "herd");
    }

    #[test]
    fn the_filter_is_shown() {
        let mut view = view();
        view.press(Key::Char('/'));
        view.press(Key::Char('1'));
        let lines = screen(&mut view, 80, 9);
        assert_eq!(lines[2], "filter: 1_");
        assert!(lines[8].starts_with("Enter keep  Esc clear"), "{lines:#?}");
    }
}
