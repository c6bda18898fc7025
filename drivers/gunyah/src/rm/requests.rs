//! The Resource Manager's requests as typed calls.

use super::client::{ResourceManager, Timer};
use super::error::{RequestError, RequestName};
use crate::hypercalls::Hypercalls;
use alloc::string::String;
use gunyah_abi::rm::payload::{
    ConsoleWriteHeader, CountReply, IdEntry, SetStatusRequest, StateReply, TextHeader,
    VmExitRequest, VmidRequest, WordReply, id_type, padded,
};
use gunyah_abi::rm::{
    MAX_CONSOLE_WRITE, MAX_CRASH_MESSAGE, MessageId, OsState, SELF_VMID, VmState,
};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Who a VM is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VmIdentity {
    /// GUID, all zeros where the VM has none.
    pub guid: Option<[u8; 16]>,
    /// URI.
    pub uri: Option<String>,
    /// Name.
    pub name: Option<String>,
    /// Signing authority.
    pub signing_authority: Option<String>,
}

/// How a VM is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VmStatus {
    /// State of the VM.
    pub vm: VmState,
    /// State its operating system gave.
    pub os: OsState,
    /// What its application gave.
    pub application: u16,
}

fn fixed<R: FromBytes + KnownLayout + Immutable + Copy>(data: &[u8]) -> Result<R, usize> {
    match R::read_from_prefix(data) {
        Ok((reply, _)) => Ok(reply),
        Err(_) => Err(size_of::<R>()),
    }
}

fn nothing(_: &[u8]) -> Result<(), usize> {
    Ok(())
}

/// Reads the entries of a `VM_GET_ID` reply; unknown types are skipped.
fn identity(data: &[u8]) -> Result<VmIdentity, usize> {
    let mut identity = VmIdentity::default();
    let mut offset = size_of::<CountReply>();
    for _ in 0..fixed::<CountReply>(data)?.count.get() {
        let entry_end = offset + size_of::<IdEntry>();
        let entry: IdEntry =
            fixed(data.get(offset..).unwrap_or_default()).map_err(|_| entry_end)?;
        let size = usize::from(entry.size.get());
        let value = data.get(entry_end..entry_end + size).ok_or(entry_end + size)?;
        let text = || Some(String::from_utf8_lossy(value).into_owned());
        match entry.kind {
            id_type::GUID => identity.guid = value.try_into().ok(),
            id_type::URI => identity.uri = text(),
            id_type::NAME => identity.name = text(),
            id_type::SIGNING_AUTHORITY => identity.signing_authority = text(),
            _ => {}
        }
        offset = entry_end + padded(size);
    }
    Ok(identity)
}

/// Unless stated otherwise the calls fail with what [`ResourceManager::request`] lists.
impl<H: Hypercalls, T: Timer> ResourceManager<H, T> {
    fn word(&self, id: MessageId) -> impl Future<Output = Result<u32, RequestError>> {
        let request = RequestName { id, target: None };
        self.request(request, &[], &[], |data| {
            fixed::<WordReply>(data).map(|reply| reply.value.get())
        })
    }

    async fn about<R>(
        &self,
        id: MessageId,
        vmid: u16,
        parse: impl Fn(&[u8]) -> Result<R, usize>,
    ) -> Result<R, RequestError> {
        let target = Some(vmid);
        let content = VmidRequest::new(vmid);
        self.request(RequestName { id, target }, content.as_bytes(), &[], parse).await
    }

    /// Asks for the caller's VMID (`VM_GET_VMID`).
    pub async fn vmid(&self) -> Result<u16, RequestError> {
        let vmid = self.word(MessageId::VM_GET_VMID).await?;
        Ok(vmid as u16)
    }

    /// Asks who a VM is, 0 being the caller (`VM_GET_ID`).
    pub async fn identity(&self, vmid: u16) -> Result<VmIdentity, RequestError> {
        self.about(MessageId::VM_GET_ID, vmid, identity).await
    }

    /// Asks for the platform's type word (`VM_HOST_GET_TYPE`).
    pub async fn host_type(&self) -> Result<u32, RequestError> {
        self.word(MessageId::VM_HOST_GET_TYPE).await
    }

    /// Asks for the owner's VMID (`VM_GET_OWNER`).
    pub async fn owner(&self) -> Result<u16, RequestError> {
        let vmid = self.word(MessageId::VM_GET_OWNER).await?;
        Ok(vmid as u16)
    }

    /// Asks how a VM is, 0 being the caller (`VM_GET_STATE`).
    pub async fn state(&self, vmid: u16) -> Result<VmStatus, RequestError> {
        let reply: StateReply = self.about(MessageId::VM_GET_STATE, vmid, fixed).await?;
        Ok(VmStatus {
            vm: reply.vm_state(),
            os: reply.os_state(),
            application: reply.app_status.get(),
        })
    }

    /// Tells peers how the caller is (`VM_SET_STATUS`). RM refuses it to dynamic VMIDs with `DENIED`.
    pub async fn set_status(&self, os: OsState, application: u16) -> Result<(), RequestError> {
        let request = RequestName { id: MessageId::VM_SET_STATUS, target: None };
        let content = SetStatusRequest::new(os, application);
        self.request(request, content.as_bytes(), &[], nothing).await
    }

    /// Ends the caller with a code of [`gunyah_abi::rm::exit_code`] (`VM_EXIT`). Where it works no reply is seen.
    pub async fn vm_exit(&self, code: u8) -> Result<(), RequestError> {
        let request = RequestName { id: MessageId::VM_EXIT, target: None };
        let content = VmExitRequest::new(code);
        self.request(request, content.as_bytes(), &[], nothing).await
    }

    /// Stores the caller's crash message, cut to 192 bytes (`VM_SET_CRASH_MSG`).
    pub async fn set_crash_message(&self, text: &[u8]) -> Result<(), RequestError> {
        let request = RequestName { id: MessageId::VM_SET_CRASH_MSG, target: None };
        let text = text.get(..MAX_CRASH_MESSAGE).unwrap_or(text);
        let header = TextHeader::new(text.len() as u16);
        let mut content = [0; MAX_CRASH_MESSAGE];
        let (used, _) = content.split_at_mut(text.len());
        used.copy_from_slice(text);
        let content = content.get(..padded(text.len())).unwrap_or_default();
        self.request(request, header.as_bytes(), content, nothing).await
    }

    /// Opens a console, 0 being the caller's own (`CONSOLE_OPEN`).
    pub async fn console_open(&self, target: u16) -> Result<(), RequestError> {
        self.about(MessageId::CONSOLE_OPEN, target, nothing).await
    }

    /// Closes a console, 0 being the caller's own (`CONSOLE_CLOSE`).
    pub async fn console_close(&self, target: u16) -> Result<(), RequestError> {
        self.about(MessageId::CONSOLE_CLOSE, target, nothing).await
    }

    /// Flushes a console, 0 being the caller's own (`CONSOLE_FLUSH`); RM only checks whether it may.
    pub async fn console_flush(&self, target: u16) -> Result<(), RequestError> {
        self.about(MessageId::CONSOLE_FLUSH, target, nothing).await
    }

    /// Writes to a console in one request, 0 being the caller's own (`CONSOLE_WRITE`).
    ///
    /// # Errors
    ///
    /// Also [`RequestError::TooLong`] beyond 14,612 bytes, which RM would drop without an answer.
    pub async fn console_write(&self, target: u16, text: &[u8]) -> Result<(), RequestError> {
        let request = RequestName { id: MessageId::CONSOLE_WRITE, target: Some(target) };
        if text.len() > MAX_CONSOLE_WRITE {
            let length = text.len();
            return Err(RequestError::TooLong { request, length });
        }
        let header = ConsoleWriteHeader::new(target, text.len() as u16);
        self.request(request, header.as_bytes(), text, nothing).await
    }

    /// Writes to the caller's own console.
    ///
    /// # Errors
    ///
    /// As [`Self::console_write`].
    pub async fn print(&self, text: &[u8]) -> Result<(), RequestError> {
        self.console_write(SELF_VMID, text).await
    }
}
