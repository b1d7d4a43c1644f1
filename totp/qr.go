package totp

import (
	"fmt"
	"strings"

	"rsc.io/qr"
)

const (
	quiet = 4 // modules of white around a QR code: ISO/IEC 18004, section 9.1
	scale = 4 // pixels of a module
)

// drawQR returns a QR code as an <svg> element for the inside of a page. It is one path of
// runs of black modules, on white, so that it can be scanned on a dark page too.
func drawQR(text string) (string, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return "", fmt.Errorf("totp: no picture of a link of %d bytes: %w", len(text), err)
	}
	var path strings.Builder
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			run := 0
			for code.Black(x+run, y) {
				run++
			}
			if run > 0 {
				_, _ = fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", x+quiet, y+quiet, run, run)
				x += run
			}
		}
	}
	size := code.Size + 2*quiet
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="QR code for your authenticator app" `+
		`width="%d" height="%d" viewBox="0 0 %d %d" shape-rendering="crispEdges">`+
		`<rect width="%d" height="%d" fill="#fff"/><path fill="#000" d="%s"/></svg>`,
		size*scale, size*scale, size, size, size, size, path.String()), nil
}
