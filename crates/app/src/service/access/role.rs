//! Roles, and what each may do.

use std::fmt;

/// What somebody is there to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Brings transactions and labels, and sees nothing.
    Ingest,
    /// Looks at decisions and works on alerts.
    Analyst,
    /// Looks after models, rules and the service; may do what an analyst may.
    Engineer,
    /// May do everything.
    Admin,
}

impl Role {
    /// All of them.
    pub const ALL: [Role; 4] = [Role::Ingest, Role::Analyst, Role::Engineer, Role::Admin];

    /// The name in settings and keys.
    pub fn name(self) -> &'static str {
        match self {
            Role::Ingest => "ingest",
            Role::Analyst => "analyst",
            Role::Engineer => "engineer",
            Role::Admin => "admin",
        }
    }

    /// A role by its name.
    pub fn from_name(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// A set of roles: those that somebody has, or those that a door is open to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Roles(u8);

impl Roles {
    /// No role.
    pub const NONE: Roles = Roles(0);
    /// Whoever is known at all.
    pub const ANY: Roles =
        Roles::NONE.and(Role::Ingest).and(Role::Analyst).and(Role::Engineer).and(Role::Admin);
    /// Who brings transactions.
    pub const INGEST: Roles = Roles::NONE.and(Role::Ingest).and(Role::Admin);
    /// Who looks at decisions, and whoever may do more.
    pub const ANALYST: Roles = Roles::ENGINEER.and(Role::Analyst);
    /// Who looks after models and rules, and whoever may do more.
    pub const ENGINEER: Roles = Roles::ADMIN.and(Role::Engineer);
    /// Who may do everything.
    pub const ADMIN: Roles = Roles::NONE.and(Role::Admin);

    /// These and one more.
    pub const fn and(self, role: Role) -> Roles {
        Roles(self.0 | 1 << role as u8)
    }

    /// Whether one of them is among these.
    pub const fn meet(self, others: Roles) -> bool {
        self.0 & others.0 != 0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Their names.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let is_in = move |role: &Role| self.meet(Roles::NONE.and(*role));
        Role::ALL.into_iter().filter(is_in).map(Role::name)
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Roles {
        roles.into_iter().fold(Roles::NONE, Roles::and)
    }
}

/// The names, comma-separated.
impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().collect::<Vec<_>>().join(","))
    }
}
