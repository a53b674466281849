//! An IPMMU as its drivers in Linux and Xen and its binding describe it, with registers, translation caches and memory, for tests. It
//! shares no constant with the driver. What no driver may do makes it panic; what is not known it does in the way that is hardest on the
//! driver: whatever is off lets accesses pass, and translations are kept until the driver has them forgotten at each place.

mod registers;
mod translation;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

pub use registers::Register;

use crate::RegisterFrame;
#[cfg(test)]
pub use crate::models::MEMORY;
pub use crate::models::Outcome;
use crate::models::PhysicalMemory;

/// What the tests have the hardware be and do.
#[derive(Clone, Copy, Debug)]
pub struct Behaviour {
    pub gen4: bool,
    pub caches: usize,
    /// Reads before a flush is done.
    pub delay: u32,
    /// No flush is ever done.
    pub stuck: bool,
    /// This micro-TLB of this cache has no register.
    pub absent: Option<(usize, usize)>,
    /// Reading tables is answered with an error.
    pub tables_abort: bool,
    /// A device goes on with a write that faults, whenever IMSTR is cleared: cache, micro-TLB, address.
    pub storm: Option<(usize, usize, u64)>,
}

impl Behaviour {
    pub const GEN3: Self = Self {
        gen4: false,
        caches: 3,
        delay: 2,
        stuck: false,
        absent: None,
        tables_abort: false,
        storm: None,
    };
    pub const GEN4: Self = Self {
        gen4: true,
        ..Self::GEN3
    };
}

/// One translation that is kept: where the page lies, and whether it may be written.
type Kept = (u64, bool);

pub struct Model {
    pub behaviour: Behaviour,
    memory: Box<dyn PhysicalMemory>,
    /// Registers of the main instance, which is `None`, and of the caches.
    registers: HashMap<(Option<usize>, Register), u32>,
    /// Flushes of contexts under way in the main instance, with the reads that they still take.
    flushes: HashMap<usize, u32>,
    /// By cache, micro-TLB and page; with the context that they were made for.
    micro_tlbs: BTreeMap<(usize, usize, u64), (usize, Kept)>,
    /// By cache, context and page.
    cached: BTreeMap<(usize, usize, u64), Kept>,
    /// By context and page.
    walked: BTreeMap<(usize, u64), Kept>,
    /// Some access passed untranslated.
    pub bypassed: bool,
    /// Register writes.
    pub writes: usize,
}

/// An instance of the model, in the hands of the driver.
#[derive(Clone)]
pub struct Handle {
    pub model: Rc<RefCell<Model>>,
    instance: Option<usize>,
}

impl Model {
    pub fn new(behaviour: Behaviour, memory: impl PhysicalMemory + 'static) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            behaviour,
            memory: Box::new(memory),
            registers: HashMap::new(),
            flushes: HashMap::new(),
            micro_tlbs: BTreeMap::new(),
            cached: BTreeMap::new(),
            walked: BTreeMap::new(),
            bypassed: false,
            writes: 0,
        }))
    }

    /// The word of memory that the IPMMU reads at a physical address.
    fn load(&self, address: u64) -> u64 {
        self.memory.load(address).expect("memory")
    }

    /// The interrupt line: a level.
    pub fn interrupt(&self) -> bool {
        (0..self.contexts()).any(|context| {
            let [status, control] = [Register::Status(context), Register::Control(context)]
                .map(|register| self.register(None, register));
            status & 0b1_0111 != 0 && control & 0b100 != 0
        })
    }
}

/// The handle of the main instance, and those of the caches.
pub fn handles(model: &Rc<RefCell<Model>>) -> (Handle, Vec<Handle>) {
    let handle = |instance| Handle {
        model: model.clone(),
        instance,
    };
    let caches = model.borrow().behaviour.caches;
    (handle(None), (0..caches).map(Some).map(handle).collect())
}

impl RegisterFrame for Handle {
    fn read(&mut self, offset: usize) -> u32 {
        self.model.borrow_mut().read(self.instance, offset)
    }

    fn write(&mut self, offset: usize, value: u32) {
        self.model.borrow_mut().write(self.instance, offset, value);
    }
}
