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
	show := func(c *echo.Context, err error) { // the application's page for errors
		status := echo.StatusCode(err)
		_ = c.HTML(status, fmt.Sprintf("<h1>%d</h1><p>%s. This page is our own.</p>", status, http.StatusText(status)))
	}
	e.HTTPErrorHandler = func(c *echo.Context, err error) {
		if echo.StatusCode(err) == 0 { // not an error of echo: Error knows its status, or leads to the login page
			a.manager.Error(c.Response(), c.Request(), err)
			return
		}
		show(c, err)
	}
	a.errorPage = func(w http.ResponseWriter, r *http.Request, status int, err error) {
		show(e.NewContext(r, w), echo.NewHTTPError(status, http.StatusText(status)).Wrap(err))
	}
	e.GET("/staff", func(c *echo.Context) error {
		if err := a.manager.Check(c.Request().Context(), a.isStaff()); err != nil {
			return err
		}
		return c.String(http.StatusOK, "The staff only.")
	})
	e.GET("/print", func(*echo.Context) error { return errPrinter })
	e.POST("/visits", func(c *echo.Context) error {
		return c.String(http.StatusOK, fmt.Sprintf("%d visits", a.count(c.Request().Context())))
	})
	return a.manager.LoadAndSave(e)
}
