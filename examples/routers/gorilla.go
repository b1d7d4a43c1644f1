package main

import (
	"fmt"
	"net/http"

	"github.com/gorilla/mux"
)

func underGorilla(a *app) http.Handler {
	r := mux.NewRouter()
	for _, path := range a.pages.Paths() {
		r.Handle(path, a.pages)
	}
	members := r.NewRoute().Subrouter()
	members.Use(a.manager.RequireLogin)
	members.HandleFunc("/profile", a.profile)
	members.HandleFunc("/events", a.events).Methods("GET")
	members.HandleFunc("/chat", a.chat).Methods("GET")
	r.Handle("/billing", a.manager.RequireFresh(freshFor)(http.HandlerFunc(a.billing))).Methods("GET")
	r.Handle("/api/notes", a.manager.RequireScope("notes")(http.HandlerFunc(a.notes))).Methods("GET")
	r.NotFoundHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.errorPage(w, r, http.StatusNotFound, nil)
	})
	r.MethodNotAllowedHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.errorPage(w, r, http.StatusMethodNotAllowed, nil)
	})
	r.HandleFunc("/staff", a.staff).Methods("GET")
	r.HandleFunc("/print", a.print).Methods("GET")
	r.HandleFunc("/visits", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%d visits", a.count(r.Context()))
	}).Methods("POST")
	return a.manager.LoadAndSave(r)
}
