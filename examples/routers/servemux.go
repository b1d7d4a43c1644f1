package main

import (
	"fmt"
	"net/http"
)

func underServeMux(a *app) http.Handler {
	mux := http.NewServeMux()
	a.pages.Mount(mux)
	mux.Handle("/profile", a.manager.RequireLogin(http.HandlerFunc(a.profile)))
	mux.Handle("GET /billing", a.manager.RequireFresh(freshFor)(http.HandlerFunc(a.billing)))
	mux.Handle("GET /api/notes", a.manager.RequireScope("notes")(http.HandlerFunc(a.notes)))
	mux.Handle("GET /events", a.manager.RequireLogin(http.HandlerFunc(a.events)))
	mux.Handle("GET /chat", a.manager.RequireLogin(http.HandlerFunc(a.chat)))
	mux.HandleFunc("GET /staff", a.staff)
	mux.HandleFunc("GET /print", a.print)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		a.errorPage(w, r, http.StatusNotFound, nil)
	})
	mux.HandleFunc("POST /visits", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%d visits", a.count(r.Context()))
	})
	return a.manager.LoadAndSave(mux)
}
