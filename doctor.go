package auth

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"

	"github.com/go-login/auth/internal/cgroup"
	"github.com/go-login/auth/internal/keyring"
)

// A Severity says how bad a Finding is.
type Severity int

// The severities.
const (
	SeverityNote    Severity = iota // something could not be checked
	SeverityWarning                 // it works, and not as well or as safely as it could
	SeveritySevere                  // a fault that locks users out, loses accounts or is unsafe: stop the program
)

// String returns "note", "warning" or "severe".
func (s Severity) String() string {
	switch s {
	case SeverityNote:
		return "note"
	case SeverityWarning:
		return "warning"
	}
	return "severe"
}

// A FindingCode says what Doctor found, as thing.fault. The codes do not change.
// Packages with a Diagnoser have further ones.
type FindingCode string

// The codes of findings.
const (
	FindingStoreFailed     FindingCode = "store.failed"      // a store does not answer, or not as its interface says
	FindingStoreInMemory   FindingCode = "store.in-memory"   // a store of a public site forgets everything when the process ends
	FindingStoreOutdated   FindingCode = "store.outdated"    // the tables are missing, or not those of this version
	FindingStoreUncleaned  FindingCode = "store.uncleaned"   // expired records are never deleted
	FindingStoreEvicts     FindingCode = "store.evicts"      // the store may delete records that have not expired
	FindingStoreNotDurable FindingCode = "store.not-durable" // a power failure can undo the last changes
	FindingStoreCharset    FindingCode = "store.charset"     // the connection changes texts
	FindingCookiesInsecure FindingCode = "cookies.insecure"  // browsers use https, and the cookies are not Secure
	FindingProxyUntrusted  FindingCode = "proxy.untrusted"   // a reverse proxy is missing in Config.Network.TrustedProxies
	FindingWriterBypassed  FindingCode = "writer.bypassed"   // a router writes around LoadAndSave, and cookies are lost
	FindingMailerMissing   FindingCode = "mailer.missing"    // a feature needs mails, and there is no Mailer
	FindingMailerPrints    FindingCode = "mailer.prints"     // the mails of a public site reach no user
	FindingSettingUnused   FindingCode = "setting.unused"    // a setting has no effect
	FindingRoleUndeclared  FindingCode = "role.undeclared"   // a guard or a user has a role or permission that Config.Roles does not have
	FindingRouteUnguarded  FindingCode = "route.unguarded"   // a route in a group that is denied by default has no rule
	FindingProcessorsFewer FindingCode = "processors.fewer"  // GOMAXPROCS is more than the container has
	FindingProcessorsIdle  FindingCode = "processors.idle"   // logins were refused while a processor was idle
	FindingMemoryTooLittle FindingCode = "memory.too-little" // password hashing may need more memory than the container has
	FindingDiagnosisFailed FindingCode = "diagnosis.failed"  // a Diagnoser could not find out how it is set up
)

// A Finding is something in the setup that should be changed. Text and Fix have no
// secrets and nothing that a user has typed.
type Finding struct {
	Code     FindingCode
	Severity Severity
	Text     string // what is wrong, and what follows from it
	Fix      string // what to do
	Err      error  // the error of a store, or nil; a driver may have put the name of a host or a user into it
}

// String returns the finding as one line, without Err.
func (f Finding) String() string {
	return fmt.Sprintf("%s: %s: %s Fix: %s", f.Severity, f.Code, f.Text, f.Fix)
}

// A Diagnoser can say what is wrong with its own setup. Core.Doctor asks the user store,
// Config.Records, Config.SessionStore, Config.Mailer, Config.Factors and the Identities,
// each if it is one. Optional.
type Diagnoser interface {
	// Diagnose returns what should be changed. It may ask a database, and changes nothing.
	// If it is not allowed to ask, it returns a Finding with SeverityNote. public is true
	// if the application has users elsewhere: if Config.BaseURL has https. An error means
	// that Diagnose could not find out.
	Diagnose(ctx context.Context, public bool) ([]Finding, error)
}

// Doctor looks for mistakes in the setup that New cannot see, and returns what it found,
// the most severe first. Call it at the start, or in a test of the deployment (CI):
//
//	for _, f := range manager.Doctor(ctx) {
//		log.Print(f)
//	}
//
// It asks the stores, so give ctx a deadline. It changes nothing. What only requests can
// show, it knows from those that this process has served: a proxy that is missing in
// Config.Network.TrustedProxies, and cookies that are not Secure. So call it again after
// a while, for example from a page for administrators.
func (c *Core) Doctor(ctx context.Context) []Finding {
	var all []Finding
	for _, look := range []func(context.Context) []Finding{
		c.lookAtStores, c.lookAtParts, c.lookAtRequests, c.lookAtMails, c.lookAtSettings, c.lookAtRoles, c.lookAtProcess,
	} {
		all = append(all, look(ctx)...)
	}
	slices.SortStableFunc(all, func(a, b Finding) int { return int(b.Severity - a.Severity) })
	return all
}

// public reports whether the application has users elsewhere. New accepts plain http only
// on the loopback.
func (c *Core) public() bool { return c.site.origin.Scheme == "https" }

// lookAtStores asks each store for something that does not exist. A table that is
// missing, a password that is wrong and a server that is down all show.
func (c *Core) lookAtStores(ctx context.Context) (found []Finding) {
	nothing := "doctor-" + keyring.NewToken()
	for _, store := range []struct {
		name string
		ask  func() error
		want error
	}{
		{"The user store", func() error {
			_, err := c.users.load(ctx, nothing)
			return err
		}, ErrUserNotFound},
		{"Config.Records", func() error {
			_, err := c.records.GetRecord(ctx, kindFeature, nothing)
			return err
		}, ErrRecordNotFound},
		{"Config.SessionStore", func() error {
			if sameStore(c.cfg.SessionStore, c.cfg.Records) {
				return ErrRecordNotFound
			}
			_, err := c.sessions.GetRecord(ctx, kindSession, nothing)
			return err
		}, ErrRecordNotFound},
	} {
		if err := store.ask(); !errors.Is(err, store.want) {
			found = append(found, Finding{
				Code: FindingStoreFailed, Severity: SeveritySevere, Err: err,
				Text: fmt.Sprintf("%s was asked for something that does not exist, and did not return %q.", store.name, store.want),
				Fix:  "Create its tables, check its address and its password, and run package storetest on it.",
			})
		}
	}
	return found
}

// sameStore reports whether two stores are one.
func sameStore(a, b any) bool {
	return a != nil && b != nil && reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() && a == b
}

// lookAtParts asks the stores, the Mailer, the factors and the identities. A store that serves
// two purposes is asked once, for the first of them.
func (c *Core) lookAtParts(ctx context.Context) (found []Finding) {
	type part struct {
		name  string
		value any
		lasts bool // what is in it must outlive the process
	}
	parts := []part{
		{"the user store", c.given, true},
		{"Config.Records", c.cfg.Records, true},
		{"Config.SessionStore", c.cfg.SessionStore, false},
		{"Config.Mailer", c.cfg.Mailer, false},
	}
	for i, f := range c.cfg.Factors {
		parts = append(parts, part{fmt.Sprintf("Config.Factors[%d]", i), f, false})
	}
	parts = append(parts, part{"the Identities", c.identities(), false})
	for i, p := range parts {
		diagnoser, ok := p.value.(Diagnoser)
		if !ok || slices.ContainsFunc(parts[:i], func(earlier part) bool { return sameStore(earlier.value, p.value) }) {
			continue
		}
		says, err := diagnoser.Diagnose(c.hide(ctx), c.public())
		for _, f := range says {
			if f.Code == FindingStoreInMemory && p.lasts { // accounts, second factors and locks, and not only sessions
				f.Severity = SeveritySevere
			}
			f.Text = upperFirst(p.name) + ": " + f.Text
			found = append(found, f)
		}
		if err != nil {
			found = append(found, Finding{
				Code: FindingDiagnosisFailed, Severity: SeverityWarning, Err: err,
				Text: upperFirst(p.name) + " could not be examined.",
				Fix:  "See the error, and call Doctor again.",
			})
		}
	}
	return found
}

// upperFirst returns text with its first letter in upper case.
func upperFirst(text string) string { return strings.ToUpper(text[:1]) + text[1:] }

// lookAtRequests reports what the requests have shown that this process has served.
func (c *Core) lookAtRequests(context.Context) (found []Finding) {
	if c.proxies.encrypted.Load() {
		found = append(found, Finding{
			Code: FindingCookiesInsecure, Severity: SeveritySevere,
			Text: fmt.Sprintf("A request came over https, or X-Forwarded-Proto says so, but Config.BaseURL is %s. So the cookies are not Secure, and browsers send them over plain http as well.", c.cfg.BaseURL),
			Fix:  "Set Config.BaseURL to the https URL that browsers use. If nobody uses https, a client has made the header up, and nothing needs to be done.",
		})
	}
	if c.bypassed.Load() {
		found = append(found, Finding{
			Code: FindingWriterBypassed, Severity: SeveritySevere,
			Text: "An answer was written around LoadAndSave, so its cookies were lost, and a login has no effect.",
			Fix:  "Wrap the whole router with LoadAndSave, and do not use it as a middleware of the router. docs/routers.md has the lines.",
		})
	}
	const fix = "Set Config.Network.TrustedProxies to the networks of your proxies. If there are none, clients have made the header up, and nothing needs to be done."
	switch {
	case c.proxies.oneAddress.Load():
		found = append(found, Finding{
			Code: FindingProxyUntrusted, Severity: SeverityWarning,
			Text: "The first 100 logins all came from one private address. It is probably a reverse proxy, and all users share the limits of one address.",
			Fix:  fix,
		})
	case c.proxies.forwarded.Load():
		found = append(found, Finding{
			Code: FindingProxyUntrusted, Severity: SeverityWarning,
			Text: "A request had X-Forwarded-For and did not come from a trusted proxy. If it came through your proxy, all users share the limits of one address.",
			Fix:  fix,
		})
	}
	return found
}

// lookAtMails looks for what needs mails. RequireVerified and EmailLogin without a Mailer
// are errors of New.
func (c *Core) lookAtMails(context.Context) []Finding {
	if c.cfg.Mailer != nil || c.store == nil || !c.Keeps(FieldEmail) {
		return nil
	}
	var misses []string
	if c.Keeps(FieldPasswordHash) {
		misses = append(misses, "users who forget their passwords cannot set new ones")
	}
	if len(c.cfg.Factors) > 0 {
		misses = append(misses, "nobody is told when a second factor is added or removed")
	}
	if len(misses) == 0 {
		misses = append(misses, "users cannot verify or change their addresses")
	}
	return []Finding{{
		Code: FindingMailerMissing, Severity: SeverityWarning,
		Text: "There is no Config.Mailer: " + strings.Join(misses, ", and ") + ".",
		Fix:  "Set Config.Mailer, for example to one of package authmail.",
	}}
}

// lookAtSettings reports the settings without effect that newCore has noted.
func (c *Core) lookAtSettings(context.Context) (found []Finding) {
	for _, u := range c.unused {
		found = append(found, Finding{
			Code: FindingSettingUnused, Severity: SeverityWarning,
			Text: fmt.Sprintf("Config.%s has no effect, because %s.", u.setting, u.reason),
			Fix:  "Remove it, or set the other one.",
		})
	}
	return found
}

// unusedSettings returns the settings without effect, from a Config without defaults. Most
// settings without effect are errors of New. These are not, because programs that set them
// depending on a flag would not start any more.
func unusedSettings(cfg *Config) (unused []unusedSetting) {
	const noMailer, noFactors = "there is no Mailer", "there are no Factors"
	for _, s := range []struct {
		unused  bool
		setting string
		reason  string
	}{
		{cfg.Mailer == nil && cfg.URLs.Reset != "", "URLs.Reset", noMailer},
		{cfg.Mailer == nil && cfg.URLs.EmailChange != "", "URLs.EmailChange", noMailer},
		{cfg.Mailer == nil && cfg.URLs.EmailUndo != "", "URLs.EmailUndo", noMailer},
		{cfg.Mailer == nil && cfg.Password.ResetLifetime != 0, "Password.ResetLifetime", noMailer},
		{cfg.Mailer == nil && cfg.Limits.Mails != 0, "Limits.Mails", noMailer},
		{!cfg.EmailLogin && cfg.URLs.LoginCode != "", "URLs.LoginCode", "EmailLogin is not set"},
		{len(cfg.Factors) == 0 && cfg.URLs.Factor != "", "URLs.Factor", noFactors},
		{len(cfg.Factors) == 0 && cfg.URLs.TwoFactor != "", "URLs.TwoFactor", noFactors},
		{len(cfg.Factors) > 0 && !slices.ContainsFunc(cfg.Factors, func(f Factor) bool {
			_, recovery := f.(RecoveryFactor)
			return !recovery
		}), "Factors", "they are all recovery factors, and a user who has only these owes none at a login"},
	} {
		if s.unused {
			unused = append(unused, unusedSetting{s.setting, s.reason})
		}
	}
	return unused
}

// lookAtRoles reports the names of guards and of users that Config.Roles does not have, as far
// as guards were made and users were seen.
func (c *Core) lookAtRoles(context.Context) (found []Finding) {
	guards, users, routes := c.undeclared.list()
	for _, name := range guards {
		found = append(found, Finding{
			Code: FindingRoleUndeclared, Severity: SeveritySevere,
			Text: fmt.Sprintf("A guard needs the %s, which is not in Config.Roles. So no user passes it.", name),
			Fix:  "Declare it, or correct its name in the guard.",
		})
	}
	for _, name := range users {
		found = append(found, Finding{
			Code: FindingRoleUndeclared, Severity: SeverityWarning,
			Text: fmt.Sprintf("A user has the %s, which is not in Config.Roles. It allows nothing.", name),
			Fix:  "Declare it, or take it away by SetRoles.",
		})
	}
	for _, pattern := range routes {
		found = append(found, Finding{
			Code: FindingRouteUnguarded, Severity: SeverityWarning,
			Text: fmt.Sprintf("The route %.200q has no rule, and is denied to everybody.", pattern),
			Fix:  "Give it a rule, or move it out of the group.",
		})
	}
	return found
}

// lookAtProcess looks for settings of the process that do not suit its container: the
// processors, the memory for password hashing, and hashes that were refused while a
// processor was idle.
func (c *Core) lookAtProcess(context.Context) []Finding {
	found := processFindings(runtime.GOMAXPROCS(0), int64(c.hasher.Budget.State().Size)*1024, cgroup.Read(os.DirFS("/")))
	return append(found, idleFindings(c.hasher.Refused(), c.hasher.Advice())...)
}

// idleFindings reports that hashes were refused which idle processors could have computed
// with the settings in advice.
func idleFindings(refused uint64, advice string) []Finding {
	if refused == 0 || advice == "" {
		return nil
	}
	return []Finding{{
		Code: FindingProcessorsIdle, Severity: SeverityWarning,
		Text: fmt.Sprintf("This process has refused %d logins because too many passwords waited to be hashed, and a processor was idle.", refused),
		Fix:  fmt.Sprintf("Set %s. To raise GOMAXPROCS by two, begin main with runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 2); see docs/passwords.md.", advice),
	}}
}

func processFindings(procs int, hashing int64, has cgroup.Limits) (found []Finding) {
	// Go rounds up, and uses 2 at least. docs/passwords.md has the reason to set two more.
	if most := max(2, int(math.Ceil(has.CPUs))) + 2; has.CPUs > 0 && procs > most {
		found = append(found, Finding{
			Code: FindingProcessorsFewer, Severity: SeverityWarning,
			Text: fmt.Sprintf("GOMAXPROCS is %d, and the container has %.2g processors. Under load, the system stops the whole process again and again.", procs, has.CPUs),
			Fix:  fmt.Sprintf("Leave GOMAXPROCS unset, so that Go follows the container's limit, or set it to %d at most.", most),
		})
	}
	if has.Memory > 0 && hashing > has.Memory/2 {
		found = append(found, Finding{
			Code: FindingMemoryTooLittle, Severity: SeverityWarning,
			Text: fmt.Sprintf("Password hashing may use %d MiB, and the container has %d MiB for everything. Many logins at once can end the process.", hashing>>20, has.Memory>>20),
			Fix:  "Give the container more memory, or set Config.Password.HashMemory to less than half of it.",
		})
	}
	return found
}
