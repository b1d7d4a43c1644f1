package main

import (
	"testing"

	"github.com/go-login/auth/internal/testapp"
)

func TestMain(m *testing.M) { testapp.Main(m) }
