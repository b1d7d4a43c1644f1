package main

import (
	"fmt"
	"net/http"

	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"
)

func underEcho(a *app) http.Handler {
	e := echo.New()
	e.Use(middleware.Gzip())
	for _, path := range a.pages.Paths() {
		e.Any(path, echo.WrapHandler(a.pages))
	}
	members := echo.WrapMiddleware(a.manager.RequireLogin)
	e.Any("/profile", echo.WrapHandler(http.HandlerFunc(a.profile)), members)
	e.GET("/events", echo.WrapHandler(http.HandlerFunc(a.events)), members)
	e.GET("/chat", echo.WrapHandler(http.HandlerFunc(a.chat)), members)
	e.GET("/billing", echo.WrapHandler(http.HandlerFunc(a.billing)), echo.WrapMiddleware(a.manager.RequireFresh(freshFor)))
	e.GET("/api/notes", echo.WrapHandler(http.HandlerFunc(a.notes)), echo.WrapMiddleware(a.manager.RequireScope("notes")))
	e.POST("/visits", func(c *echo.Context) error {
		return c.String(http.StatusOK, fmt.Sprintf("%d visits", a.count(c.Request().Context())))
	})
	return a.manager.LoadAndSave(e)
}
