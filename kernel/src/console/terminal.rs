//! The shell's line: the Resource Manager's console or a UART, as one type.
//!
//! One type, so that there is one copy of the shell in the image.

use super::serial::{self, Serial};
use crate::{
    log::Bytes,
    run::KernelTimer,
    shell::Audience,
    start::{BILLY_LOG, Hypervisor},
};
use alloc::sync::Arc;
use embedded_io::ErrorKind;
use embedded_io_async::{ErrorType, Read, Write};
use gunyah::rm::{ConsoleInput, RequestError, RmConsole};
use thiserror::Error;
use uart::UartError;

/// A line with its driver.
pub enum Terminal {
    /// The Resource Manager's console.
    Manager(RmConsole<'static, Hypervisor, KernelTimer>),
    /// A UART.
    Serial(&'static Serial),
}

/// A line does not do what it is asked for.
#[derive(Clone, Debug, Error)]
pub enum TerminalError {
    /// The Resource Manager's console.
    #[error(transparent)]
    Manager(#[from] RequestError),
    /// A UART.
    #[error(transparent)]
    Serial(#[from] UartError),
}

impl embedded_io::Error for TerminalError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Manager(error) => error.kind(),
            Self::Serial(error) => error.kind(),
        }
    }
}

/// Where a line's input is counted.
pub enum Input {
    /// The Resource Manager's console.
    Manager(Arc<ConsoleInput>),
    /// A UART.
    Serial(&'static Serial),
}

impl Input {
    /// Bytes that were dropped because nobody read them in time; of a UART, how often it lost some.
    pub fn dropped(&self) -> u64 {
        match self {
            Self::Manager(input) => input.dropped(),
            Self::Serial(serial) => serial.counters().overruns,
        }
    }
}

impl Terminal {
    /// Opens the line, and logs what it is.
    ///
    /// # Errors
    ///
    /// The Resource Manager refuses, or does not answer.
    pub async fn open(&mut self) -> Result<(), TerminalError> {
        match self {
            Self::Manager(console) => {
                console.open().await?;
                serial::set_manager_is_open(true);
                let backlog = Bytes(BILLY_LOG.written() as usize);
                log::info!(target: "console", "open (backlog {backlog})");
            }
            Self::Serial(uart) => {
                let kind = uart.port().kind();
                log::info!(target: "console", "{kind:?}, {:?}", uart.receives());
            }
        }
        Ok(())
    }

    /// Closes the line, if it is one that is opened and closed. What was written is flushed before.
    ///
    /// # Errors
    ///
    /// What the line answers.
    pub async fn close(&mut self) -> Result<(), TerminalError> {
        if let Self::Manager(console) = self {
            serial::set_manager_is_open(false);
            console.close().await?;
        }
        Ok(())
    }

    /// Who hears what is written.
    pub fn audience(&self) -> Audience {
        match self {
            Self::Manager(_) => Audience::Unknown,
            Self::Serial(_) => Audience::Certain,
        }
    }

    /// Where input is counted.
    pub fn input(&self) -> Input {
        match self {
            Self::Manager(console) => Input::Manager(console.input().clone()),
            Self::Serial(uart) => Input::Serial(uart),
        }
    }
}

impl ErrorType for Terminal {
    type Error = TerminalError;
}

impl Read for Terminal {
    async fn read(&mut self, target: &mut [u8]) -> Result<usize, TerminalError> {
        Ok(match self {
            Self::Manager(console) => console.read(target).await?,
            Self::Serial(uart) => uart.read(target).await?,
        })
    }
}

impl Write for Terminal {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, TerminalError> {
        Ok(match self {
            Self::Manager(console) => console.write(bytes).await?,
            Self::Serial(uart) => uart.write(bytes).await?,
        })
    }

    async fn flush(&mut self) -> Result<(), TerminalError> {
        match self {
            Self::Manager(console) => console.flush().await?,
            Self::Serial(uart) => uart.flush().await?,
        }
        Ok(())
    }
}
