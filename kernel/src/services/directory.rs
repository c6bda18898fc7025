//! Which services there are, and which channel offers which.
//!
//! A service is offered on the channels that its bindings name. Those of [`Binding::Everywhere`]
//! are offered on message queues with the label [`SERVICES_LABEL`] or one that `services=` in the
//! boot arguments names, on every ring, and wherever another service is bound.

use super::{
    channel::{Channel, Identity, Medium},
    reply::Reply,
    service::{Answer, Binding, Service},
};
use alloc::{boxed::Box, rc::Rc, vec::Vec};
use billy_protocol::{decode, service::DIRECTORY, service::directory::Entry};
use core::{
    cell::{Cell, RefCell},
    pin::Pin,
};

/// The label of message queues that are there for services.
pub const SERVICES_LABEL: u32 = 0x100;
/// What names further labels in the boot arguments: `services=7,0x20`.
const ARGUMENT: &str = "services=";

/// A request being served.
pub(super) type Handler<'a> = Pin<Box<dyn Future<Output = Answer> + 'a>>;

/// A service of any type.
pub trait AnyService {
    /// The number that requests carry.
    fn number(&self) -> u16;
    /// The name.
    fn name(&self) -> &'static str;
    /// Where it is offered.
    fn bindings(&self) -> &[Binding];
    /// Decodes and answers a request.
    fn call<'a>(
        &'a self,
        payload: &'a [u8],
        reply: Reply<'a>,
    ) -> Pin<Box<dyn Future<Output = Answer> + 'a>>;
}

impl<S: Service> AnyService for S {
    fn number(&self) -> u16 {
        Service::number(self)
    }

    fn name(&self) -> &'static str {
        Service::name(self)
    }

    fn bindings(&self) -> &[Binding] {
        Service::bindings(self)
    }

    fn call<'a>(&'a self, payload: &'a [u8], reply: Reply<'a>) -> Handler<'a> {
        match decode(payload) {
            Ok(request) => Box::pin(self.serve(request, reply)),
            Err(error) => Box::pin(core::future::ready(Err(error.into()))),
        }
    }
}

/// What a service did.
#[derive(Debug, Default)]
pub struct Counts {
    /// Requests that came for it.
    pub requests: Cell<u64>,
    /// Of those, refused ones.
    pub errors: Cell<u64>,
    /// Requests being served.
    pub outstanding: Cell<u32>,
}

/// A service in the directory.
pub struct Offer {
    /// Its number.
    pub number: u16,
    /// The service.
    pub service: &'static dyn AnyService,
    /// What it did.
    pub counts: Counts,
}

/// All services, and the channels that offer them.
pub struct Directory {
    labels: Vec<u32>,
    offers: RefCell<Vec<Rc<Offer>>>,
    channels: RefCell<Vec<Rc<Channel>>>,
}

impl Directory {
    /// A directory without services. Channels with the labels in `services=` of the boot arguments
    /// are there for services, beside those with [`SERVICES_LABEL`].
    pub fn new(bootargs: Option<&str>) -> Self {
        let words = bootargs.unwrap_or_default().split_whitespace();
        let lists = words.filter_map(|word| word.strip_prefix(ARGUMENT));
        let mut labels = alloc::vec![SERVICES_LABEL];
        for word in lists.flat_map(|list| list.split(',')) {
            match label(word) {
                Some(label) => labels.push(label),
                None => log::warn!(target: "services", "{ARGUMENT} names no label: '{word}'"),
            }
        }
        Self { labels, offers: RefCell::default(), channels: RefCell::default() }
    }

    /// Adds a service. Of two with the same number the one that was there is kept, and false
    /// returned; channels that are open already do not offer the new one.
    pub fn add(&self, service: &'static dyn AnyService) -> bool {
        let mut offers = self.offers.borrow_mut();
        let number = service.number();
        let taken = number == DIRECTORY;
        if taken || offers.iter().any(|offer| offer.number == number) {
            return false;
        }
        offers.push(Rc::new(Offer { number, service, counts: Counts::default() }));
        true
    }

    /// All services, in the order in which they came.
    pub fn offers(&self) -> Vec<Rc<Offer>> {
        self.offers.borrow().clone()
    }

    /// All channels that are open.
    pub fn channels(&self) -> Vec<Rc<Channel>> {
        self.channels.borrow().clone()
    }

    /// Whether a channel is there for services; one that is not is to be bound raw.
    pub fn claims(&self, identity: &Identity) -> bool {
        self.is_general(identity)
            || self.offers.borrow().iter().any(|offer| identity.is_bound(offer.service.bindings()))
    }

    /// Whether a service is bound to this peer, whatever the label.
    pub fn binds_peer(&self, vmid: u16) -> bool {
        let is_bound = |offer: &Rc<Offer>| offer.service.bindings().contains(&Binding::Peer(vmid));
        self.offers.borrow().iter().any(is_bound)
    }

    /// Opens a channel: the services it offers are those that are bound to it now.
    ///
    /// It is listed until it is dropped by [`Directory::close`].
    pub fn open(&self, identity: Identity) -> Rc<Channel> {
        let general = self.claims(&identity);
        let is_offered = |offer: &&Rc<Offer>| {
            let bindings = offer.service.bindings();
            general && bindings.contains(&Binding::Everywhere) || identity.is_bound(bindings)
        };
        let offers = self.offers.borrow().iter().filter(is_offered).cloned().collect();
        let channel = Rc::new(Channel::new(identity, offers));
        self.channels.borrow_mut().push(Rc::clone(&channel));
        channel
    }

    /// Forgets a channel.
    pub fn close(&self, channel: &Rc<Channel>) {
        self.channels.borrow_mut().retain(|open| !Rc::ptr_eq(open, channel));
    }

    /// Ends all channels in order: new requests are refused, outstanding ones are answered, then
    /// [`Channel::serve`] ends.
    pub fn end(&self) {
        self.channels.borrow().iter().for_each(|channel| channel.end());
    }

    fn is_general(&self, identity: &Identity) -> bool {
        let labelled = identity.label.is_some_and(|label| self.labels.contains(&label));
        labelled || identity.medium == Medium::Ring
    }
}

/// Lists what a channel offers: the service with the number 0.
pub(super) async fn list(offers: &[Rc<Offer>], reply: Reply<'_>) -> Answer {
    let mut list = reply.list();
    list.push(&Entry { number: DIRECTORY, name: "directory" }).await?;
    for offer in offers {
        let (number, name) = (offer.number, offer.service.name());
        list.push(&Entry { number, name }).await?;
    }
    list.end().await
}

fn label(word: &str) -> Option<u32> {
    match word.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::shipped::Echo;
    use billy_protocol::service::{FIRST_OWN, directory::Request};

    /// A service with any number and bindings.
    struct Bound(u16, &'static [Binding]);

    impl Service for Bound {
        type Request<'a> = Request;

        fn number(&self) -> u16 {
            self.0
        }

        fn name(&self) -> &'static str {
            "bound"
        }

        fn bindings(&self) -> &[Binding] {
            self.1
        }

        async fn serve(&self, request: Request, reply: Reply<'_>) -> Answer {
            reply.send(&request).await
        }
    }

    const TO_LABEL: u16 = FIRST_OWN;
    const TO_PEER: u16 = FIRST_OWN + 1;

    fn directory(bootargs: Option<&str>) -> Directory {
        let directory = Directory::new(bootargs);
        assert!(directory.add(&Echo));
        assert!(directory.add(&Bound(TO_LABEL, &[Binding::Label(7), Binding::Label(8)])));
        assert!(directory.add(&Bound(TO_PEER, &[Binding::Peer(3)])));
        directory
    }

    fn identity(medium: Medium, label: Option<u32>, peer: Option<u16>) -> Identity {
        Identity { medium, label, peer: Rc::new(Cell::new(peer)), name: "test".into() }
    }

    /// The numbers that a channel offers; None if it is raw.
    fn offered(
        directory: &Directory,
        medium: Medium,
        label: Option<u32>,
        peer: Option<u16>,
    ) -> Option<Vec<u16>> {
        let identity = identity(medium, label, peer);
        let claimed = directory.claims(&identity);
        let channel = directory.open(identity);
        let numbers: Vec<_> = channel.offers().iter().map(|o| o.service.number()).collect();
        directory.close(&channel);
        claimed.then_some(numbers)
    }

    #[test]
    fn services_are_offered_where_they_are_bound() {
        let directory = directory(Some("console=rm services=9,0x20 quiet"));
        let queue = |label, peer| offered(&directory, Medium::Queue, label, peer);
        for label in [SERVICES_LABEL, 9, 0x20] {
            assert_eq!(queue(Some(label), None), Some(vec![1]));
        }
        assert_eq!(queue(Some(8), None), Some(vec![1, TO_LABEL]));
        assert_eq!(queue(Some(7), Some(3)), Some(vec![1, TO_LABEL, TO_PEER]));
        assert_eq!(queue(None, Some(3)), Some(vec![1, TO_PEER]));
        assert_eq!(queue(Some(2), Some(4)), None);
        assert_eq!(queue(None, None), None);
        let ring = |label| offered(&directory, Medium::Ring, label, None);
        assert_eq!(ring(Some(2)), Some(vec![1]));
        assert_eq!(ring(Some(7)), Some(vec![1, TO_LABEL]));
        assert!(directory.channels().is_empty());
    }

    #[test]
    fn a_number_is_given_out_once() {
        let directory = directory(None);
        assert!(!directory.add(&Echo));
        assert!(!directory.add(&Bound(DIRECTORY, &[])));
        assert_eq!(directory.offers().len(), 3);
    }

    #[test]
    fn labels_that_are_none_are_left_out() {
        let directory = directory(Some("services=,x,0x,-1,99999999999,5 services=6"));
        assert_eq!(directory.labels, [SERVICES_LABEL, 5, 6]);
    }
}
