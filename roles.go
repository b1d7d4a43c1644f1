package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
)

// A need is what a rule asks of a user's roles: one of the roles, or the permission.
type need struct {
	role       bool // the rule is a Role
	roles      []string
	permission string
}

// denied returns the error for a user who does not meet the need.
func (n *need) denied() error {
	switch {
	case !n.role:
		return fmt.Errorf("%w: needs the permission %q", ErrForbidden, n.permission)
	case len(n.roles) == 0:
		return fmt.Errorf("%w: needs a role, and the rule Role() names none", ErrForbidden)
	}
	return fmt.Errorf("%w: needs one of the roles %q", ErrForbidden, n.roles)
}

// meets returns nil if the user's roles meet the need, an ErrForbidden if they do not, or a
// failure of the RoleSource.
func (c *Core) meets(ctx context.Context, user User, n *need) (failing error) {
	defer c.met(ctx, &failing)
	c.declared(ctx, n)
	if !n.role && !slices.Contains(c.cfg.Roles.Permissions, n.permission) {
		return n.denied()
	}
	for _, role := range user.AuthAccount().Roles {
		if n.role && !slices.Contains(n.roles, role) {
			continue
		}
		permissions, err := c.permissionsOf(ctx, role)
		switch {
		case errors.Is(err, ErrUnknownRole):
			c.undeclaredRole(ctx, role)
		case err != nil:
			return err
		case n.role, slices.Contains(permissions, n.permission):
			return nil
		}
	}
	return n.denied()
}

// permissionsOf returns the permissions of a role, or ErrUnknownRole. Within a request, a
// RoleSource is asked once for each role.
func (c *Core) permissionsOf(ctx context.Context, role string) ([]string, error) {
	if c.roles == nil {
		permissions, ok := c.cfg.Roles.Grants[role]
		if !ok {
			return nil, ErrUnknownRole
		}
		return permissions, nil
	}
	if !isRoleName(role) {
		return nil, ErrUnknownRole
	}
	s := c.requestOf(ctx)
	if s == nil {
		return c.roles.RolePermissions(ctx, role)
	}
	s.op.Lock()
	permissions, ok := s.seldom().granted[role]
	s.op.Unlock()
	if ok {
		return permissions, nil
	}
	permissions, err := c.roles.RolePermissions(ctx, role)
	if err != nil {
		return nil, err
	}
	s.op.Lock()
	defer s.op.Unlock()
	few := s.seldom()
	if few.granted == nil {
		few.granted = map[string][]string{}
	}
	few.granted[role] = permissions
	return permissions, nil
}

// rank returns what users with these roles have: their permissions, and the role of the
// administrators.
func (c *Core) rank(ctx context.Context, roles []string) (all []string, err error) {
	all = []string{}
	for _, role := range roles {
		if role == c.cfg.Roles.Admin && role != "" {
			all = append(all, fmt.Sprintf("the role %q", role))
		}
		permissions, err := c.permissionsOf(ctx, role)
		switch {
		case errors.Is(err, ErrUnknownRole):
			c.undeclaredRole(ctx, role)
		case err != nil:
			return nil, err
		}
		for _, p := range permissions {
			if slices.Contains(c.cfg.Roles.Permissions, p) {
				all = append(all, permissionRank(p))
			}
		}
	}
	return all, nil
}

// permissionRank is a permission as an entry of rank.
func permissionRank(permission string) string { return fmt.Sprintf("the permission %q", permission) }

// undeclaredRole logs a role that a user has and that is not declared, once for each role.
func (c *Core) undeclaredRole(ctx context.Context, role string) {
	if c.undeclared.user(fmt.Sprintf("role %.100q", role)) {
		c.cfg.Logger.LogAttrs(c.hide(ctx), slog.LevelWarn,
			"auth: a user has a role that is not in Config.Roles, and it gives no permission; declare the role, or take it away by SetRoles",
			slog.String("role", cut(role, 100)))
	}
}

// declared logs the names of a guard that are not in Config.Roles, once for each name. With
// a RoleSource, roles are not looked up: they may be added later.
func (c *Core) declared(ctx context.Context, n *need) {
	for _, role := range n.roles {
		if c.roles == nil && !c.cfg.Roles.grants(role) {
			c.undeclaredNeed(ctx, "role", role)
		}
	}
	if !n.role && !slices.Contains(c.cfg.Roles.Permissions, n.permission) {
		c.undeclaredNeed(ctx, "permission", n.permission)
	}
}

func (c *Core) undeclaredNeed(ctx context.Context, what, name string) {
	if c.undeclared.guard(fmt.Sprintf("%s %.100q", what, name)) {
		c.cfg.Logger.LogAttrs(c.hide(ctx), slog.LevelError,
			"auth: a guard needs a role or permission that is not in Config.Roles, so no user has it; declare it, or correct its name",
			slog.String(what, cut(name, 100)))
	}
}

// errRoleLost is the cause with which WhileLoggedIn ends.
var errRoleLost = fmt.Errorf("%w: the user has lost a role", ErrForbidden)

// lostRole reports whether a role is missing in now.
func lostRole(was, now []string) bool {
	return slices.ContainsFunc(was, func(role string) bool { return !slices.Contains(now, role) })
}
