package main

import (
	"fmt"
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
)

func underChi(a *app) http.Handler {
	r := chi.NewRouter()
	r.Use(middleware.Compress(5))
	a.pages.Mount(r)
	r.Group(func(r chi.Router) {
		r.Use(a.manager.RequireLogin)
		r.HandleFunc("/profile", a.profile)
		r.Get("/events", a.events)
		r.Get("/chat", a.chat)
	})
	r.With(a.manager.RequireFresh(freshFor)).Get("/billing", a.billing)
	r.With(a.manager.RequireScope("notes")).Get("/api/notes", a.notes)
	r.NotFound(func(w http.ResponseWriter, r *http.Request) {
		a.errorPage(w, r, http.StatusNotFound, nil)
	})
	r.MethodNotAllowed(func(w http.ResponseWriter, r *http.Request) {
		a.errorPage(w, r, http.StatusMethodNotAllowed, nil)
	})
	r.Get("/staff", a.staff)
	r.Get("/print", a.print)
	r.Post("/visits", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%d visits", a.count(r.Context()))
	})
	return a.manager.LoadAndSave(r)
}
