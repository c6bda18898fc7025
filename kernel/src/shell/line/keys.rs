//! Keys from the bytes that terminals send for them.

/// What a person did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Key {
    Character(char),
    Enter,
    Interrupt,
    Backspace,
    Delete,
    Left,
    Right,
    Up,
    Down,
    Home,
    End,
    EraseToEnd,
    EraseToStart,
    EraseWord,
    ClearScreen,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Ground,
    /// Behind a CR, where an LF belongs to it.
    AfterReturn,
    /// Within a character of `expected` bytes.
    Utf8 {
        bytes: [u8; 4],
        received: usize,
        expected: usize,
    },
    /// Behind ESC.
    Escape,
    /// Behind ESC and an intermediate byte: up to a final byte.
    EscapeIntermediate,
    /// Behind `ESC [`, with the first parameter so far and whether it can still grow.
    Control {
        parameter: u8,
        open: bool,
    },
    /// Behind `ESC O`, or `ESC [ [` of the Linux console: one more byte.
    SingleShift,
    /// Within a string to the terminal, up to BEL or ESC.
    String,
}

/// Turns bytes into keys; sequences may arrive in pieces.
#[derive(Debug)]
pub(super) struct Decoder {
    state: State,
}

impl Decoder {
    pub(super) const fn new() -> Self {
        Self { state: State::Ground }
    }

    /// Takes one byte. A control character ends whatever sequence it comes in.
    pub(super) fn push(&mut self, byte: u8) -> Option<Key> {
        let state = core::mem::replace(&mut self.state, State::Ground);
        match (state, byte) {
            (State::AfterReturn, b'\n') | (State::String, 0x07) => None,
            (_, 0x1B) => self.enter(State::Escape),
            (_, ..0x20 | 0x7F) => self.control_character(byte),
            (State::Utf8 { bytes, received, expected }, 0x80..0xC0) => {
                self.continue_utf8(bytes, received, expected, byte)
            }
            (State::String, _) => self.enter(State::String),
            (State::Ground | State::AfterReturn | State::Utf8 { .. }, _) | (_, 0x80..) => {
                self.ground(byte)
            }
            (State::Escape, b'[') => self.enter(State::Control { parameter: 0, open: true }),
            (State::Escape, b'O') => self.enter(State::SingleShift),
            (State::Escape, b']' | b'P' | b'X' | b'^' | b'_') => self.enter(State::String),
            (State::Escape | State::EscapeIntermediate, 0x20..0x30) => {
                self.enter(State::EscapeIntermediate)
            }
            (State::Escape | State::EscapeIntermediate, _) => None,
            (State::Control { parameter, open }, 0x20..0x40) => {
                let (parameter, open) = match byte {
                    b'0'..=b'9' if open => {
                        (parameter.saturating_mul(10).saturating_add(byte - b'0'), true)
                    }
                    _ => (parameter, false),
                };
                self.enter(State::Control { parameter, open })
            }
            (State::Control { .. }, b'[') => self.enter(State::SingleShift),
            (State::Control { parameter, .. }, b'~') => match parameter {
                1 | 7 => Some(Key::Home),
                4 | 8 => Some(Key::End),
                3 => Some(Key::Delete),
                _ => None,
            },
            (State::Control { .. } | State::SingleShift, _) => match byte {
                b'A' => Some(Key::Up),
                b'B' => Some(Key::Down),
                b'C' => Some(Key::Right),
                b'D' => Some(Key::Left),
                b'H' => Some(Key::Home),
                b'F' => Some(Key::End),
                _ => None,
            },
        }
    }

    fn enter(&mut self, state: State) -> Option<Key> {
        self.state = state;
        None
    }

    fn control_character(&mut self, byte: u8) -> Option<Key> {
        Some(match byte {
            b'\r' => {
                self.state = State::AfterReturn;
                Key::Enter
            }
            b'\n' => Key::Enter,
            0x01 => Key::Home,
            0x03 => Key::Interrupt,
            0x05 => Key::End,
            0x08 | 0x7F => Key::Backspace,
            0x0B => Key::EraseToEnd,
            0x0C => Key::ClearScreen,
            0x15 => Key::EraseToStart,
            0x17 => Key::EraseWord,
            _ => return None,
        })
    }

    /// A byte outside of any sequence: ASCII, or the start of a character. Others are dropped.
    fn ground(&mut self, byte: u8) -> Option<Key> {
        let expected = match byte {
            0x20..0x7F => return Some(Key::Character(char::from(byte))),
            0xC2..0xE0 => 2,
            0xE0..0xF0 => 3,
            0xF0..0xF5 => 4,
            _ => return None,
        };
        self.enter(State::Utf8 { bytes: [byte, 0, 0, 0], received: 1, expected })
    }

    fn continue_utf8(
        &mut self,
        mut bytes: [u8; 4],
        received: usize,
        expected: usize,
        byte: u8,
    ) -> Option<Key> {
        *bytes.get_mut(received)? = byte;
        let received = received + 1;
        if received < expected {
            return self.enter(State::Utf8 { bytes, received, expected });
        }
        let character = core::str::from_utf8(bytes.get(..received)?).ok()?.chars().next()?;
        (!character.is_control()).then_some(Key::Character(character))
    }
}
