// Cluster is one application in several processes, behind a proxy that hands
// them requests in turn. Users and everything that must last are in PostgreSQL,
// sessions in Redis. The program starts copies of itself: processes.go keeps
// them running, and proxy.go is the proxy in front of them. app.go has what all
// processes have in common.
package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"time"

	"github.com/go-login/auth/examples/internal/server"
	"github.com/go-login/auth/sqlstore"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
)

// The environment variables for the copies. Flags would be visible to everybody
// who can list the machine's processes.
const (
	numberVar = "CLUSTER_PROCESS"
	urlVar    = "CLUSTER_URL"
	secretVar = "CLUSTER_SECRET"
)

const secretSize = 32 // bytes

func main() {
	server.Main("cluster", func(ctx context.Context) error { return run(ctx, os.Args[1:], os.Stdin, os.Stdout) })
}

// run is the parent, which serves until ctx is done, or one of its copies,
// which serves until stdin ends.
func run(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:8080", "`address` for the proxy to listen on")
	count := flags.Int("processes", 4, "`number` of processes behind the proxy")
	postgres := flags.String("postgres", "postgres://cluster:cluster@127.0.0.1:5432/cluster?sslmode=disable", "`URL` of the PostgreSQL database")
	redisURL := flags.String("redis", "redis://127.0.0.1:6379/0", "`URL` of the Redis database")
	prefix := flags.String("redis-prefix", "cluster:", "`text` at the beginning of all keys in Redis")
	if err := server.Parse(flags, args); err != nil {
		return err
	}
	if *count < 1 {
		return errors.New("flag -processes must be at least 1")
	}

	config, err := pgx.ParseConfig(*postgres)
	if err != nil {
		return fmt.Errorf("flag -postgres: %w", err)
	}
	db := stdlib.OpenDB(*config)
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(5) // per process: by default PostgreSQL allows a hundred connections in total
	db.SetMaxIdleConns(5)
	options, err := redis.ParseURL(*redisURL)
	if err != nil {
		return fmt.Errorf("flag -redis: %w", err)
	}
	options.ContextTimeoutEnabled = true
	options.DialerRetries = 1 // fails soon if Redis is down; commands are retried anyway
	logging.Disable()         // the client's errors say the same
	client := redis.NewClient(options)
	defer func() { _ = client.Close() }()

	c := cluster{db, client, *prefix}
	if os.Getenv(numberVar) != "" {
		return c.work(ctx, stdin, stdout)
	}
	return c.serve(ctx, *addr, *count, stdout)
}

// A cluster has what all its processes use.
type cluster struct {
	db     *sql.DB
	client *redis.Client
	prefix string // of the keys in Redis
}

// serve is the main function of the parent. It starts the copies, and is their proxy.
func (c cluster) serve(ctx context.Context, addr string, count int, stdout io.Writer) error {
	if err := findServers(ctx, c.db, c.client); err != nil {
		return err
	}
	if err := sqlstore.Migrate(ctx, c.db, sqlstore.Postgres); err != nil {
		return err
	}
	listener, port, err := server.Listen(ctx, addr)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // Serve closes it, too; this is for errors
	// A secret for this run only. In production, read it from where you keep
	// secrets, so that it stays the same after a restart. Otherwise devices are
	// no longer remembered, and links in mails are void.
	secret := make([]byte, secretSize)
	_, _ = rand.Read(secret) // never fails
	baseURL := "http://localhost:" + port

	// The processes end after the proxy has finished the requests in progress.
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	processes := newProcesses(count, stdout, urlVar+"="+baseURL, secretVar+"="+base64.StdEncoding.EncodeToString(secret))
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	for i := range count {
		p, err := processes.start(working, i)
		if err != nil {
			return err
		}
		running.Go(func() { processes.keep(working, p) })
	}
	fmt.Fprintf(stdout, "Cluster is at %s (listening on %s)\n", baseURL, listener.Addr())

	go sqlstore.NewRecords(c.db, sqlstore.Postgres).CleanupEvery(ctx, time.Hour) // Redis deletes expired records itself
	return server.Serve(ctx, listener, newProxy(processes.addresses, proxyPatience))
}

// work is the main function of a copy. It serves the application at an address
// that it prints, until stdin ends, which happens when the parent ends.
func (c cluster) work(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	signal.Ignore(os.Interrupt) // a terminal sends it to all processes; only the parent handles it
	number, err := strconv.Atoi(os.Getenv(numberVar))
	if err != nil {
		return fmt.Errorf("%s: %w", numberVar, err)
	}
	secret, err := base64.StdEncoding.DecodeString(os.Getenv(secretVar))
	if err != nil {
		return fmt.Errorf("%s: %w", secretVar, err)
	}
	app, err := newApp(c.db, c.client, settings{
		number: number, baseURL: os.Getenv(urlVar), secret: secret, prefix: c.prefix, mails: stdout,
	})
	if err != nil {
		return err
	}
	listener, _, err := server.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }()
	fmt.Fprintln(stdout, listener.Addr())
	ctx, stop := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		stop()
	}()
	return server.Serve(ctx, listener, app)
}

const (
	startPostgres = `Start it, and name it with the flag -postgres if it has another address:

    docker run -d -p 127.0.0.1:5432:5432 -e POSTGRES_USER=cluster -e POSTGRES_PASSWORD=cluster postgres:17

or, on Debian:

    sudo apt install postgresql
    sudo -u postgres psql -c "CREATE ROLE cluster LOGIN PASSWORD 'cluster'" -c "CREATE DATABASE cluster OWNER cluster"
`
	startRedis = `Start it, and name it with the flag -redis if it has another address:

    docker run -d -p 127.0.0.1:6379:6379 redis:7

or, on Debian:

    sudo apt install redis-server
`
)

// findServers returns an error that says what to do if PostgreSQL or Redis does
// not answer within two seconds.
func findServers(ctx context.Context, db *sql.DB, client *redis.Client) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	noRedis := make(chan error, 1)
	go func() { noRedis <- client.Ping(ctx).Err() }()
	var missing []error
	if err := db.PingContext(ctx); err != nil {
		missing = append(missing, fmt.Errorf("no answer from PostgreSQL: %w\n\n%s", err, startPostgres))
	}
	if err := <-noRedis; err != nil {
		missing = append(missing, fmt.Errorf("no answer from Redis: %w\n\n%s", err, startRedis))
	}
	return errors.Join(missing...)
}
