//! The editor against a simulated terminal.

use super::*;
use proptest::prelude::*;

/// One endless row of a terminal; a line feed starts an empty one.
#[derive(Default)]
struct Terminal {
    row: Vec<char>,
    column: usize,
    rows: Vec<String>,
    bells: usize,
    escape: Option<String>,
}

impl Write for Terminal {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for character in text.chars() {
            if let Some(mut sequence) = self.escape.take() {
                sequence.push(character);
                match sequence.as_str() {
                    "[K" => self.row.truncate(self.column),
                    "[2J" => self.row.clear(),
                    "[H" => self.column = 0,
                    "[" | "[2" => self.escape = Some(sequence),
                    unknown => panic!("the editor sent ESC {unknown}"),
                }
                continue;
            }
            match character {
                '\r' => self.column = 0,
                '\n' => {
                    let row = std::mem::take(&mut self.row);
                    self.rows.push(row.into_iter().collect());
                }
                '\x08' => self.column = self.column.checked_sub(1).expect("left of column 0"),
                '\x07' => self.bells += 1,
                '\x1b' => self.escape = Some(String::new()),
                control if control.is_control() => panic!("the editor sent {control:?}"),
                printable => {
                    if self.column == self.row.len() {
                        self.row.push(printable);
                    } else {
                        self.row[self.column] = printable;
                    }
                    self.column += 1;
                }
            }
        }
        Ok(())
    }
}

impl Terminal {
    fn shows(&self) -> String {
        self.row.iter().collect::<String>().trim_end().into()
    }
}

const PROMPT: &str = "billy> ";

fn start() -> (LineEditor, Terminal) {
    let (mut editor, mut terminal) = (LineEditor::new(PROMPT), Terminal::default());
    editor.show(&mut terminal);
    (editor, terminal)
}

fn describe(event: Event<'_>) -> String {
    match event {
        Event::Line(line) => line.into(),
        Event::Interrupted => "^C".into(),
    }
}

/// Types `bytes`, shows a new prompt after each event, returns the events.
fn enter(editor: &mut LineEditor, terminal: &mut Terminal, mut bytes: &[u8]) -> Vec<String> {
    let mut events = Vec::new();
    while let Some(event) = editor.feed(&mut bytes, terminal) {
        events.push(describe(event));
        editor.show(terminal);
    }
    assert!(bytes.is_empty());
    events
}

#[track_caller]
fn assert_consistent(editor: &LineEditor, terminal: &Terminal) {
    assert_eq!(terminal.shows(), format!("{PROMPT}{}", editor.line()).trim_end());
    let (head, _) = editor.split();
    assert_eq!(terminal.column, PROMPT.len() + head.chars().count());
}

/// Types `keys` and Enter, byte by byte, checking the screen each time; the line must result.
#[track_caller]
fn types(keys: &str, line: &str) {
    let (mut editor, mut terminal) = start();
    for byte in keys.as_bytes() {
        assert_eq!(enter(&mut editor, &mut terminal, &[*byte]), [""; 0]);
        assert_consistent(&editor, &terminal);
    }
    assert_eq!(enter(&mut editor, &mut terminal, b"\r"), [line]);
    assert_eq!(terminal.rows.last().unwrap().trim_end(), format!("{PROMPT}{line}").trim_end());
}

#[test]
fn editing_keys_edit() {
    types("help", "help");
    types("helq\x7fp", "help");
    types("helq\x08p", "help");
    types("\x7f\x1b[D\x1b[C\x1b[3~\x0b\x15\x17", "");
    types("hlp\x1b[D\x1b[De", "help");
    types("elp\x01h\x05s", "helps");
    types("elp\x1b[Hh\x1b[Fs", "helps");
    types("elp\x1b[1~h\x1b[4~s", "helps");
    types("elp\x1bOHh\x1bOFs", "helps");
    types("help\x1b[D\x1b[D\x1b[C\x7f", "hep");
    types("help\x1b[D\x1b[3~", "hel");
    types("bell ring\x01\x1b[C\x1b[C\x0b", "be");
    types("bell ring\x1b[D\x1b[D\x1b[D\x1b[D\x15", "ring");
    types("bell ring  \x17list", "bell list");
    types("bell ring\x1b[D\x17", "bell g");
    types("bell\u{2003}ring\x17x", "bell\u{2003}x");
    types("word\x17", "");
    types("dt\x0c /chosen", "dt /chosen");
    types("grün €\x1b[D\x1b[D\x1b[D\x7fu\x1b[3~", "gru €");
}

#[test]
fn what_is_no_key_is_swallowed() {
    types("a\x1b[5~b\x1b[1;5Cc\x1b[[Ad\x1b[?1;2ce\x1bxf\x1b(Bg\x1bOPh", "abcdefgh");
    types("a\x1b]0;title\x07b\x1bP1$r\x1b\\c\0\x02\td", "abcd");
    types("a\x1b[999999999999999999999~b", "ab");
    types("\x1b[200~pasted\x1b[201~", "pasted");
    types("\u{85}a\u{9b}b", "ab");
}

#[test]
fn invalid_utf8_is_ignored() {
    let (mut editor, mut terminal) = start();
    let bytes = b"a\xffb\xc3(c\xe2\x82d\x80e\xc0\xaff\xed\xa0\x80g\xf4\x90\x80\x80h\xe2\x82\xac\r";
    assert_eq!(enter(&mut editor, &mut terminal, bytes), ["ab(cdefgh€"]);
}

#[test]
fn every_kind_of_line_end_is_one() {
    for ends in ["a\rb\r", "a\nb\n", "a\r\nb\r\n"] {
        let (mut editor, mut terminal) = start();
        assert_eq!(enter(&mut editor, &mut terminal, ends.as_bytes()), ["a", "b"], "{ends:?}");
    }
    let (mut editor, mut terminal) = start();
    assert_eq!(enter(&mut editor, &mut terminal, b"a\r\n\n\r\rb\n"), ["a", "", "", "", "b"]);
}

#[test]
fn a_control_character_ends_a_sequence() {
    let (mut editor, mut terminal) = start();
    let bytes = b"a\x1b\rb\x1b[1\rc\x1b]never ending\rd\xe2\x82\r";
    assert_eq!(enter(&mut editor, &mut terminal, bytes), ["a", "b", "c", "d"]);
}

#[test]
fn ctrl_c_drops_the_line() {
    let (mut editor, mut terminal) = start();
    assert_eq!(enter(&mut editor, &mut terminal, b"panic\x03help\r"), ["^C", "help"]);
    assert_eq!(terminal.rows[0], "billy> panic^C");
    assert_eq!(editor.history().iter().collect::<Vec<_>>(), ["help"]);
}

#[test]
fn a_full_line_beeps() {
    let (mut editor, mut terminal) = start();
    let typed = "x".repeat(LINE_BYTES - 1) + "€";
    assert_eq!(enter(&mut editor, &mut terminal, typed.as_bytes()), [""; 0]);
    assert_eq!((editor.line().len(), terminal.bells), (LINE_BYTES - 1, 1));
    assert_eq!(enter(&mut editor, &mut terminal, b"yz"), [""; 0]);
    assert_eq!((editor.line().len(), terminal.bells), (LINE_BYTES, 2));
    assert!(editor.line().ends_with("xy"));
    assert_consistent(&editor, &terminal);
}

#[test]
fn history_goes_back_sixteen_lines_and_keeps_the_draft() {
    let (mut editor, mut terminal) = start();
    for number in 0..20 {
        enter(&mut editor, &mut terminal, format!("line {number}\r").as_bytes());
    }
    enter(&mut editor, &mut terminal, b"line 19\r  \r\r");
    enter(&mut editor, &mut terminal, b"draft");
    let mut shown = Vec::new();
    for key in ["\x1b[A"; 18].iter().chain(&["\x1b[B"; 18]) {
        enter(&mut editor, &mut terminal, key.as_bytes());
        assert_consistent(&editor, &terminal);
        shown.push(editor.line().to_owned());
    }
    let older = (4..20).rev().chain([4, 4]).map(|number| format!("line {number}"));
    let newer = (5..20).map(|number| format!("line {number}"));
    let draft = core::iter::repeat_n("draft".to_owned(), 3);
    assert_eq!(shown, older.chain(newer).chain(draft).collect::<Vec<_>>());
    assert_eq!(enter(&mut editor, &mut terminal, b"\x1b[A\x1b[A!\r"), ["line 18!"]);
    assert_eq!(enter(&mut editor, &mut terminal, b"\x1b[A\r"), ["line 18!"]);
}

#[test]
fn other_output_can_come_between() {
    let (mut editor, mut terminal) = start();
    enter(&mut editor, &mut terminal, b"hel");
    editor.hide(&mut terminal);
    terminal.write_str("log line\r\n").unwrap();
    editor.show(&mut terminal);
    assert_eq!(terminal.rows, ["log line"]);
    assert_consistent(&editor, &terminal);
    assert_eq!(enter(&mut editor, &mut terminal, b"p\r"), ["help"]);
}

#[test]
fn input_behind_a_line_stays() {
    let (mut editor, mut terminal) = start();
    let mut input = &b"one\rtwo\r"[..];
    assert_eq!(editor.feed(&mut input, &mut terminal), Some(Event::Line("one")));
    assert_eq!(input, b"two\r");
    assert_eq!(editor.line(), "");
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => any::<char>().prop_map(|character| character.to_string().into_bytes()),
        4 => (b' '..0x7F).prop_map(|byte| vec![byte]),
        4 => prop::sample::select(vec!["A", "B", "C", "D", "H", "F", "3~", "1;5C"])
            .prop_map(|end| format!("\x1b[{end}").into_bytes()),
        2 => (0u8..0x20).prop_map(|byte| vec![byte]),
        1 => prop::collection::vec(any::<u8>(), 1..5),
        1 => Just(vec![0x7F]),
    ]
}

proptest! {
    #[test]
    fn the_screen_shows_the_line(keys in prop::collection::vec(key(), 0..300)) {
        let (mut editor, mut terminal) = start();
        for byte in keys.concat() {
            enter(&mut editor, &mut terminal, &[byte]);
            assert_consistent(&editor, &terminal);
            prop_assert!(editor.line().len() <= LINE_BYTES);
            prop_assert!(!editor.line().contains(char::is_control));
        }
    }

    #[test]
    fn chunks_make_no_difference(
        keys in prop::collection::vec(key(), 0..100),
        chunk in 1usize..20,
    ) {
        let bytes = keys.concat();
        let (mut whole, mut whole_terminal) = start();
        let expected = enter(&mut whole, &mut whole_terminal, &bytes);
        let (mut pieces, mut pieces_terminal) = start();
        let mut events = Vec::new();
        for piece in bytes.chunks(chunk) {
            events.extend(enter(&mut pieces, &mut pieces_terminal, piece));
        }
        prop_assert_eq!(events, expected);
        prop_assert_eq!(pieces.line(), whole.line());
        prop_assert_eq!(pieces_terminal.rows, whole_terminal.rows);
    }
}
