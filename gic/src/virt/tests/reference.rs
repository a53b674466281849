//! An interrupt controller as the architecture describes it (IHI 0069H 4.1 and 4.8, IHI 0048B 3.2): one record for each interrupt, no list
//! registers, and a search through all of them at each acknowledgement. Written from the manuals, to be compared with the real one.

use model::IntId;

/// One interrupt.
#[derive(Clone, Debug)]
pub struct Record {
    pub intid: IntId,
    /// The CPU that a private interrupt belongs to.
    pub owner: Option<u8>,
    /// A physical interrupt stands behind it.
    pub physical: bool,
    pub enabled: bool,
    pub group1: bool,
    pub edge: bool,
    /// The level of its line.
    pub line: bool,
    /// It came as an edge, or by a register write.
    pub latched: bool,
    /// Source CPUs of a pending GICv2 SGI.
    pub sources: u8,
    /// A physical line has fallen that may have been seen high before: whether it is pending is open.
    pub stale: bool,
    /// A physical edge and another, or a write to `ISPENDR`, came together: one may wait in the physical controller, active and pending there, and
    /// come as a second one (IHI 0069H 4.1.2).
    pub repeats: bool,
    pub active: bool,
    /// Where it is active. Nowhere if a register write activated it while no CPU was its target.
    pub active_at: Option<u8>,
    /// Its line was high when it was acknowledged.
    pub serves_line: bool,
    pub target: Option<u8>,
    pub priority: u8,
    /// The most and the least urgent priority since it became pending: which of them counts is open (IHI 0069H 12.9.20).
    pub priorities: (u8, u8),
}

impl Record {
    pub fn new(intid: IntId, owner: Option<u8>, edge: bool, physical: bool, group1: bool) -> Self {
        Self {
            intid,
            owner,
            physical,
            enabled: true,
            group1,
            edge,
            line: false,
            latched: false,
            sources: 0,
            stale: false,
            repeats: false,
            active: false,
            active_at: None,
            serves_line: false,
            target: Some(owner.unwrap_or(0)),
            priority: 0xa0,
            priorities: (0xa0, 0xa0),
        }
    }

    /// Surely pending.
    pub fn is_pending(&self) -> bool {
        self.latched || self.sources != 0 || !self.edge && self.line
    }

    pub fn set_line(&mut self, high: bool) {
        let (rises, falls) = (high && !self.line, !high && self.line);
        if rises {
            self.becomes_pending();
        }
        self.line = high;
        self.latched |= rises && self.edge;
        self.stale |= falls && self.physical && !(self.active && self.serves_line);
    }

    /// An edge, an SGI of GICv3, or a write to `ISPENDR`.
    pub fn pend(&mut self) {
        self.repeats |= self.physical && self.edge && (self.is_pending() || self.stale);
        self.becomes_pending();
        self.latched = true;
    }

    /// An SGI of GICv2.
    pub fn pend_from(&mut self, source: u8) {
        self.becomes_pending();
        self.sources |= 1 << source;
    }

    /// A write to `ICPENDR`.
    pub fn unpend(&mut self) {
        self.latched = false;
        self.stale = false;
        self.repeats = false;
        self.priorities = (self.priority, self.priority);
    }

    fn becomes_pending(&mut self) {
        if !self.is_pending() && !self.stale {
            self.priorities = (self.priority, self.priority);
        }
    }

    pub fn set_priority(&mut self, priority: u8) {
        self.priority = priority & 0xf8;
        self.priorities = if self.is_pending() || self.stale {
            let (urgent, least) = self.priorities;
            (urgent.min(self.priority), least.max(self.priority))
        } else {
            (self.priority, self.priority)
        };
    }

    /// A write to `ISACTIVER`.
    pub fn activate(&mut self) {
        if !self.active {
            self.active = true;
            self.active_at = self.target;
            self.serves_line = false;
        }
    }

    /// The end of interrupt, or a write to `ICACTIVER`.
    pub fn deactivate(&mut self) {
        self.active = false;
        self.active_at = None;
    }
}

/// All interrupts, and what each CPU handles.
pub struct Reference {
    pub interrupts: Vec<Record>,
    /// `GICD_CTLR`, bits 0 and 1.
    pub groups: u8,
    /// Active priorities of each CPU, most urgent last, and the interrupts that they are for.
    pub running: Vec<Vec<(IntId, u8)>>,
    /// What each CPU has acknowledged and must still deactivate.
    pub owed: Vec<Vec<IntId>>,
}

impl Reference {
    pub fn new(interrupts: Vec<Record>, cpus: u8) -> Self {
        Self {
            interrupts,
            groups: 3,
            running: vec![Vec::new(); usize::from(cpus)],
            owed: vec![Vec::new(); usize::from(cpus)],
        }
    }

    /// An interrupt; a private one is that of `cpu`.
    pub fn of(&mut self, intid: IntId, cpu: u8) -> &mut Record {
        self.interrupts
            .iter_mut()
            .find(|record| record.intid == intid && record.owner.is_none_or(|owner| owner == cpu))
            .expect("only interrupts of the model are used")
    }

    /// True when `cpu` can be signalled this interrupt if it is pending.
    fn is_for(&self, record: &Record, cpu: u8) -> bool {
        let forwarded = self.groups >> u8::from(record.group1) & 1 != 0;
        record.enabled && forwarded && !record.active && record.target == Some(cpu)
    }

    /// Priority that an interrupt must be more urgent than to be acknowledged.
    fn ceiling(&self, cpu: u8) -> u16 {
        self.running[usize::from(cpu)]
            .last()
            .map_or(0x100, |(_, priority)| (*priority).into())
    }

    /// Judges what `cpu` got by an acknowledgement: the interrupt, its priority and its source CPU; and does the same.
    pub fn acknowledge(&mut self, cpu: u8, got: Option<(IntId, u8, u8)>) -> Result<(), String> {
        let most_urgent = self
            .interrupts
            .iter()
            .filter(|record| record.is_pending() && self.is_for(record, cpu))
            .min_by_key(|record| record.priorities.1);
        let Some((intid, priority, source)) = got else {
            return match most_urgent {
                Some(missed) if u16::from(missed.priorities.1) < self.ceiling(cpu) => {
                    Err(format!("CPU {cpu} was not given {missed:?}"))
                }
                _ => Ok(()),
            };
        };
        if let Some(passed) = most_urgent.filter(|other| other.priorities.1 < priority) {
            return Err(format!("{intid:?} at {priority:#x} passed {passed:?}"));
        }
        if u16::from(priority) >= self.ceiling(cpu) {
            return Err(format!("{intid:?} at {priority:#x} does not preempt"));
        }
        let record = self.of(intid, cpu).clone();
        if !self.is_for(&record, cpu) || !(record.is_pending() || record.stale) {
            return Err(format!("CPU {cpu} was given {record:?}"));
        }
        if !(record.priorities.0..=record.priorities.1).contains(&priority) {
            return Err(format!("priority {priority:#x} for {record:?}"));
        }
        if record.sources != 0 && record.sources >> source & 1 == 0 {
            return Err(format!("source {source} for {record:?}"));
        }
        let taken = self.of(intid, cpu);
        taken.latched = false;
        taken.stale = core::mem::take(&mut taken.repeats);
        taken.sources &= !(1 << source);
        taken.priorities = (taken.priority, taken.priority);
        taken.serves_line = taken.line;
        taken.active = true;
        taken.active_at = Some(cpu);
        self.running[usize::from(cpu)].push((intid, priority));
        self.owed[usize::from(cpu)].push(intid);
        Ok(())
    }

    /// The end of an interrupt that some CPU acknowledged, unless a register write has taken its active state since.
    pub fn ended(&mut self, intid: IntId, cpu: u8) {
        let owes = |owner: usize| !intid.is_private() || owner == usize::from(cpu);
        let owed = self.owed.iter_mut().enumerate();
        for (_, owed) in owed.filter(|(owner, _)| owes(*owner)) {
            if let Some(at) = owed.iter().position(|other| *other == intid) {
                owed.remove(at);
                self.of(intid, cpu).deactivate();
                return;
            }
        }
    }

    /// What `cpu` may deactivate when the priority drop is apart: what it has acknowledged, and SPIs of others, once their priority is dropped.
    pub fn deactivatable(&self, cpu: u8) -> Vec<IntId> {
        let mut all = Vec::new();
        for (owner, (owed, running)) in self.owed.iter().zip(&self.running).enumerate() {
            let dropped = |intid: &&IntId| !running.iter().any(|(other, _)| other == *intid);
            let mine = |intid: &&IntId| !intid.is_private() || owner == usize::from(cpu);
            all.extend(owed.iter().filter(dropped).filter(mine));
        }
        all
    }

    /// `cpu` is turned off: its interface forgets what it has acknowledged, and the interrupts stay active.
    pub fn turn_off(&mut self, cpu: u8) {
        self.running[usize::from(cpu)].clear();
        self.owed[usize::from(cpu)].clear();
    }

    /// Nobody will end this one any more.
    pub fn forgive(&mut self, intid: IntId, cpu: u8) {
        for (owner, owed) in self.owed.iter_mut().enumerate() {
            if !intid.is_private() || owner == usize::from(cpu) {
                owed.retain(|other| *other != intid);
            }
        }
    }
}
