//! Lends the host of one call to its store. A store owns what it holds, a call only borrows its host; the loan bridges the
//! two and ends by itself when the call returns.

use std::cell::Cell;
use std::ptr::NonNull;
use std::rc::Rc;

use crate::host::Host;

type Slot = Rc<Cell<Option<NonNull<dyn Host>>>>;

/// A host on loan. Stays on its thread, is never copied, and is empty once [`lend`] has returned.
pub(crate) struct Lent(Slot);

/// Runs `with` while `host` is on loan to what it makes.
pub(crate) fn lend<R>(host: &mut dyn Host, with: impl FnOnce(Lent) -> R) -> R {
    let pointer = NonNull::from(host);
    #[expect(unsafe_code, reason = "a lifetime is traded for a loan that is taken back below")]
    // SAFETY: only the lifetime bound of the trait object changes. The pointer leaves this module by
    // `Lent::get` alone, which finds the slot empty after `Loan` has been dropped, that is, before
    // the borrow of `host` ends, whether `with` returns or unwinds.
    let pointer =
        unsafe { std::mem::transmute::<NonNull<dyn Host + '_>, NonNull<dyn Host>>(pointer) };
    let loan = Loan(Rc::new(Cell::new(Some(pointer))));
    with(Lent(Rc::clone(&loan.0)))
}

impl Lent {
    /// The host.
    pub(crate) fn get(&mut self) -> &mut dyn Host {
        let mut pointer = self.0.get().expect("a store is dropped before its call returns");
        #[expect(unsafe_code, reason = "the one place where the loan is used")]
        // SAFETY: the slot is full, so `lend` is still on the stack of this thread (`Rc` keeps `Lent`
        // on it) and holds the only other path to the host, unused until it returns. There is one
        // `Lent` for a loan, and `&mut self` is held as long as the reference given out.
        unsafe {
            pointer.as_mut()
        }
    }
}

/// Takes the host back when it is dropped.
struct Loan(Slot);

impl Drop for Loan {
    fn drop(&mut self) {
        self.0.set(None);
    }
}
