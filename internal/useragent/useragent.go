// Package useragent names common browsers by their User-Agent.
package useragent

import "strings"

// Browser finds a common browser and a common system in a user agent. What it does not find
// is empty. The order of the lists matters: Edge also claims to be Chrome, Chrome to be
// Safari, and Android to be Linux.
func Browser(userAgent string) (browser, system string) {
	find := func(names ...string) string {
		for i := 0; i < len(names); i += 2 {
			if strings.Contains(userAgent, names[i]) {
				return names[i+1]
			}
		}
		return ""
	}
	if !strings.HasPrefix(userAgent, "Mozilla/5.0 (") {
		return "", ""
	}
	browser = find("Edg/", "Edge", "EdgA/", "Edge", "EdgiOS/", "Edge", "OPR/", "Opera", "SamsungBrowser/", "Samsung Internet",
		"Firefox/", "Firefox", "FxiOS/", "Firefox", "CriOS/", "Chrome", "Chrome/", "Chrome", "Version/", "Safari")
	system = find("Android", "Android", "iPhone", "iPhone", "iPad", "iPad", "Windows NT", "Windows",
		"CrOS", "ChromeOS", "Mac OS X", "macOS", "Linux", "Linux")
	return browser, system
}
