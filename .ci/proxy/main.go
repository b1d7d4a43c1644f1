// Command proxy serves a directory on a free port of 127.0.0.1 and prints the address:
//
//	go run ./.ci/proxy DIRECTORY
//
// .ci/release uses it as a Go module proxy.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"
)

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: proxy DIRECTORY")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("http://%s\n", listener.Addr())
	server := &http.Server{Handler: http.FileServer(http.Dir(os.Args[1])), ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.Serve(listener))
}
