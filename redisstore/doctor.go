package redisstore

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/go-login/auth"
)

// Diagnose implements [auth.Diagnoser]. It finds a Redis that may evict keys, and, with
// [Durable], one that does not keep an append-only file, or does not write it to the disk
// with each change. In a Cluster it asks each master. If the user of the connection must not
// use INFO or CONFIG GET, the finding says so and has [auth.SeverityNote].
func (s *Records) Diagnose(ctx context.Context, _ bool) (found []auth.Finding, err error) {
	if s.err != nil {
		return nil, s.err
	}
	if err := s.client.Ping(ctx).Err(); err != nil && !refused(err) {
		return nil, err
	}
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok {
		return s.diagnose(ctx, s.client)
	}
	var mu sync.Mutex // ForEachMaster asks all at once
	err = cluster.ForEachMaster(ctx, func(ctx context.Context, master *redis.Client) error {
		of, err := s.diagnose(ctx, master)
		mu.Lock()
		defer mu.Unlock()
		for _, f := range of {
			if !contains(found, f) { // usually all masters are set up alike
				found = append(found, f)
			}
		}
		return err
	})
	return found, err
}

func contains(found []auth.Finding, f auth.Finding) bool {
	for _, other := range found {
		if other.Code == f.Code && other.Text == f.Text {
			return true
		}
	}
	return false
}

// refused reports whether Redis does not let this user run a command, or does not have it:
// hosted ones often hide those of administrators.
func refused(err error) bool {
	text := err.Error()
	return strings.HasPrefix(text, "NOPERM") || strings.HasPrefix(text, "ERR unknown command")
}

func (s *Records) diagnose(ctx context.Context, server redis.Cmdable) (found []auth.Finding, err error) {
	info := map[string]string{}
	for _, section := range []string{"memory", "persistence"} {
		text, err := server.Info(ctx, section).Result()
		if err != nil && refused(err) {
			return []auth.Finding{{
				Code: FindingInfoRefused, Severity: auth.SeverityNote, Err: err,
				Text: "Redis does not let this user run INFO, so nobody knows whether it may evict keys.",
				Fix:  "Check maxmemory-policy by hand; noeviction is right. Or allow the command INFO.",
			}}, nil
		}
		if err != nil {
			return nil, err
		}
		for line := range strings.SplitSeq(text, "\n") {
			if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
				info[name] = value
			}
		}
	}
	severity := auth.SeverityWarning
	if s.durable {
		severity = auth.SeveritySevere
	}
	if policy := info["maxmemory_policy"]; policy != "" && policy != "noeviction" && info["maxmemory"] != "0" {
		found = append(found, auth.Finding{
			Code: auth.FindingStoreEvicts, Severity: severity,
			Text: fmt.Sprintf("maxmemory-policy is %s. When the memory is full, Redis deletes sessions, or the list of a user's sessions: these then cannot be ended from elsewhere.", policy),
			Fix:  "Set maxmemory-policy to noeviction, or use a Redis of its own for sessions.",
		})
	}
	switch {
	case s.durable && info["aof_enabled"] == "1":
		slow, err := lookAtFsync(ctx, server)
		if err != nil {
			return found, err
		}
		found = append(found, slow...)
	case s.durable && info["aof_enabled"] == "0":
		found = append(found, auth.Finding{
			Code: auth.FindingStoreNotDurable, Severity: auth.SeveritySevere,
			Text: "The option Durable says that this Redis persists every write, but it keeps no append-only file. After a restart second factors and API tokens are gone.",
			Fix:  "Set appendonly to yes and appendfsync to always, or keep Config.Records in another store.",
		})
	}
	return found, nil
}

// lookAtFsync looks at when Redis writes its append-only file to the disk.
func lookAtFsync(ctx context.Context, server redis.Cmdable) ([]auth.Finding, error) {
	settings, err := server.ConfigGet(ctx, "appendfsync").Result()
	if err != nil && refused(err) {
		return []auth.Finding{{
			Code: FindingInfoRefused, Severity: auth.SeverityNote, Err: err,
			Text: "Redis does not let this user run CONFIG GET, so nobody knows when it writes its append-only file to the disk.",
			Fix:  "Check appendfsync by hand; always is right. Or allow the command CONFIG GET.",
		}}, nil
	}
	if err != nil {
		return nil, err
	}
	fsync, lost, severity := settings["appendfsync"], "the last second", auth.SeverityWarning
	switch fsync {
	case "always", "":
		return nil, nil
	case "no":
		lost, severity = "the last half minute", auth.SeveritySevere
	}
	return []auth.Finding{{
		Code: auth.FindingStoreNotDurable, Severity: severity,
		Text: fmt.Sprintf("The option Durable says that this Redis persists every write, but appendfsync is %s. A power failure undoes the changes of %s: a token that was used, or a factor that was removed, is then valid again.", fsync, lost),
		Fix:  "Set appendfsync to always, or keep Config.Records in another store.",
	}}, nil
}

// FindingInfoRefused says that Redis does not let the store look at its settings.
const FindingInfoRefused auth.FindingCode = "redis.info-refused"
