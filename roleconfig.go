package auth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// A RoleConfig says what the roles of users ([Account].Roles) allow. The rules [Role] and
// [Can] check them in each request, on the freshly loaded user. A role or a permission that
// is not declared here is held by no user. See docs/roles.md.
//
// A name of a role or a permission has 1 to 64 letters, digits, '.', '_', ':' and '-', such
// as "editor" or "posts.edit".
type RoleConfig struct {
	// Permissions are all permissions there are. New refuses a grant of another one.
	Permissions []string

	// Grants has all roles, each with its permissions. A role may have none.
	Grants map[string][]string

	// Source, if set, knows the roles and their permissions in place of Grants. Use it if
	// your application keeps its roles in its database.
	Source RoleSource

	// Admin is the role of the administrators, or empty. The last enabled user with this
	// role cannot lose it, be disabled or be closed: see Core.SetRoles. It must be one
	// of Grants. With a Source, the Source must know it.
	Admin string
}

// A RoleSource knows roles that the application keeps elsewhere, such as in its database.
type RoleSource interface {
	// RolePermissions returns the permissions of a role. For a role that does not exist, it
	// returns ErrUnknownRole. Any other error is a failure: the request is answered 503.
	// A permission that is not in RoleConfig.Permissions is ignored.
	//
	// RolePermissions is called at most once for each role in a request, and must be quick.
	// If you cache its answer, changes take effect when the cache ends.
	RolePermissions(ctx context.Context, role string) ([]string, error)
}

// maxRoleName is the most bytes in a name of a role or a permission.
const maxRoleName = 64

// isRoleName reports whether a role or a permission can have this name.
func isRoleName(name string) bool {
	return name != "" && len(name) <= maxRoleName && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._:-", r)
	})
}

// check copies the settings and checks them.
func (r *RoleConfig) check() error {
	r.Permissions, r.Grants = slices.Clone(r.Permissions), maps.Clone(r.Grants)
	for i, permission := range r.Permissions {
		if !isRoleName(permission) {
			return fmt.Errorf("auth: Config.Roles.Permissions[%d] is %.100q; use 1 to %d letters, digits, '.', '_', ':' and '-'", i, permission, maxRoleName)
		}
		if slices.Contains(r.Permissions[:i], permission) {
			return fmt.Errorf("auth: Config.Roles.Permissions has %q twice; remove one", permission)
		}
	}
	for _, role := range slices.Sorted(maps.Keys(r.Grants)) {
		granted := slices.Clone(r.Grants[role])
		r.Grants[role] = granted
		if !isRoleName(role) {
			return fmt.Errorf("auth: Config.Roles.Grants has the role %.100q; use 1 to %d letters, digits, '.', '_', ':' and '-'", role, maxRoleName)
		}
		for i, permission := range granted {
			if !slices.Contains(r.Permissions, permission) {
				return fmt.Errorf("auth: Config.Roles.Grants[%q] has the permission %.100q, which is not in Config.Roles.Permissions; declare it there, or correct its name", role, permission)
			}
			if slices.Contains(granted[:i], permission) {
				return fmt.Errorf("auth: Config.Roles.Grants[%q] has %q twice; remove one", role, permission)
			}
		}
	}
	return r.checkEffect()
}

// checkEffect returns an error for a setting that has no effect because of another one.
func (r *RoleConfig) checkEffect() error {
	switch {
	case r.Source != nil && isNil(r.Source):
		return errors.New("auth: Config.Roles.Source is a nil pointer; leave it unset to use Grants")
	case r.Source != nil && len(r.Grants) > 0:
		return errors.New("auth: Config.Roles has Grants and a Source; set one of them")
	case r.Admin != "" && r.Source == nil && !r.grants(r.Admin):
		return fmt.Errorf("auth: Config.Roles.Admin is %.100q, which is not a role of Config.Roles.Grants; add it there, or correct its name", r.Admin)
	case r.Admin != "" && !isRoleName(r.Admin):
		return fmt.Errorf("auth: Config.Roles.Admin is %.100q; use 1 to %d letters, digits, '.', '_', ':' and '-'", r.Admin, maxRoleName)
	case len(r.Permissions) > 0 && !r.isSet():
		return errors.New("auth: Config.Roles.Permissions has no effect without Grants or a Source: no role would have a permission")
	}
	return nil
}

// grants reports whether Grants has the role.
func (r *RoleConfig) grants(role string) bool {
	_, ok := r.Grants[role]
	return ok
}

// isSet reports whether the application uses roles.
func (r *RoleConfig) isSet() bool { return len(r.Grants) > 0 || r.Source != nil }

// public returns a copy that an application may change.
func (r RoleConfig) public() RoleConfig {
	r.Permissions, r.Grants = slices.Clone(r.Permissions), maps.Clone(r.Grants)
	for role, granted := range r.Grants {
		r.Grants[role] = slices.Clone(granted)
	}
	return r
}

// undeclared are names that guards or users have, and that Config.Roles does not. Each is
// logged once.
type undeclared struct {
	mu     sync.Mutex
	guards map[string]bool // such as `permission "posts.edti"`
	users  map[string]bool // such as `role "edtior"`
	routes []string        // patterns of routes without a rule
}

// maxUndeclared is how many names of guards, and how many of users, are logged.
const maxUndeclared = 100

// guard notes a name of a guard, and reports whether it is to be logged.
func (u *undeclared) guard(name string) bool { return u.add(&u.guards, name) }

// user notes a name in an account, and reports whether it is to be logged.
func (u *undeclared) user(name string) bool { return u.add(&u.users, name) }

func (u *undeclared) add(names *map[string]bool, name string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if (*names)[name] || len(*names) >= maxUndeclared {
		return false
	}
	if *names == nil {
		*names = map[string]bool{}
	}
	(*names)[name] = true
	return true
}

// route notes the pattern of a route without a rule.
func (u *undeclared) route(pattern string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.routes = append(u.routes, pattern)
}

// list returns the undeclared names in guards and in accounts, sorted, and the routes
// without a rule.
func (u *undeclared) list() (guards, users, routes []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Sorted(maps.Keys(u.guards)), slices.Sorted(maps.Keys(u.users)), slices.Clone(u.routes)
}
