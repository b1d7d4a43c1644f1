package passkey

import "fmt"

// providerName returns the name of the program or the device that keeps a passkey, by its
// AAGUID. Nothing proves an AAGUID, so the name is only a help for the user. A passkey has
// it until the user gives it another one.
func providerName(aaguid [16]byte) string {
	switch fmt.Sprintf("%x-%x-%x-%x-%x", aaguid[:4], aaguid[4:6], aaguid[6:8], aaguid[8:10], aaguid[10:]) {
	// Password managers, and what comes with browsers and systems.
	case "ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4":
		return "Google Password Manager"
	case "fbfc3007-154e-4ecc-8c0b-6e020557d7bd",
		"dd4ec289-e01d-41c9-bb89-70fa845d4bf2":
		return "Apple Passwords"
	case "08987058-cadc-4b81-b6e1-30de50dcbe96",
		"9ddd1817-af5a-4672-a2b9-3e3dd95000a9",
		"6028b017-b1d4-4c02-b4b3-afcdafc96bb2":
		return "Windows Hello"
	case "d3452668-01fd-4c12-926c-83a4204853aa":
		return "Microsoft Password Manager"
	case "90a3ccdf-635c-4729-a248-9b709135078f",
		"de1e552d-db1d-4423-a619-566b625cdc84":
		return "Microsoft Authenticator"
	case "53414d53-554e-4700-0000-000000000000":
		return "Samsung Pass"
	case "adce0002-35bc-c60a-648b-0b25f1f05503":
		return "Chrome on Mac"
	case "771b48fd-d3d4-4f74-9232-fc157ab0507a":
		return "Edge on Mac"
	case "b5397666-4885-aa6b-cebf-e52262a439a2":
		return "Chromium"
	case "bada5566-a7aa-401f-bd96-45619a55120d":
		return "1Password"
	case "d548826e-79b4-db40-a3d8-11116f7e8349":
		return "Bitwarden"
	case "531126d6-e717-415c-9320-3d9aa6981239":
		return "Dashlane"
	case "50726f74-6f6e-5061-7373-50726f746f6e":
		return "Proton Pass"
	case "b84e4048-15dc-4dd0-8640-f4f60813c8af":
		return "NordPass"
	case "0ea242b4-43c4-4a1b-8b17-dd6d0b6baec6":
		return "Keeper"
	case "b78a0a55-6ef8-d246-a042-ba0f6d55050c":
		return "LastPass"
	case "f3809540-7f14-49c1-a8b3-8f813b225541":
		return "Enpass"
	case "fdb141b2-5d84-443e-8a35-4698c205a502":
		return "KeePassXC"
	case "eaecdef2-1c31-5634-8639-f1cbd9c00a08":
		return "KeePassDX"
	case "de503f9c-21a4-4f76-b4b7-558eb55c6f89":
		return "Devolutions"
	case "b35a26b2-8f6e-4697-ab1d-d44db4da28c6":
		return "Zoho Vault"
	case "a10c6dd9-465e-4226-8198-c7c44b91c555":
		return "Kaspersky Password Manager"
	case "22248c4c-7a12-46e2-9a41-44291b373a4d":
		return "LogMeOnce"
	case "d350af52-0351-4ba2-acd3-dfeeadc3f764":
		return "pwSafe"
	case "891494da-2c90-4d31-a9cd-4eab0aed1309":
		return "Sésame"
	case "a11a5faa-9f32-4b8c-8c5d-2f7d13e8c942":
		return "AliasVault"
	case "fa37f553-f9b6-4adb-ac53-8bbb57ebdf0d":
		return "Norton Password Manager"
	case "a4a2d88e-9796-4356-9164-e2a5a8bd019c":
		return "Avast Password Manager"
	case "d9be9d39-e6a6-4c28-a581-32b044d986e4":
		return "Sticky Password"
	// Security keys.
	case "cb69481e-8ff7-4039-93ec-0a2729a154a8",
		"ee882879-721c-4913-9775-3dfcce97072a",
		"ff4dac45-ede8-4ec2-aced-cf66103f4335",
		"19083c3d-8383-4b18-bc03-8f1c9ab2fd1b":
		return "YubiKey 5"
	case "fa2b99dc-9e39-4257-8f92-4a30d23c4118",
		"2fc0579f-8113-47ea-b116-bb5a8db9202a",
		"a25342c0-3cdc-4414-8e46-f4807fca511c",
		"d7781e5d-e353-46aa-afe2-3ca49f13332a",
		"662ef48a-95e2-4aaa-a6c1-5b9c40375824":
		return "YubiKey 5 NFC"
	case "c5ef55ff-ad9a-4b9f-b580-adebafe026d0",
		"a02167b9-ae71-4ac7-9a07-06432ebb6f1c":
		return "YubiKey 5Ci"
	case "c1f9a0bc-1dd2-404a-b27f-8e29047a43fd",
		"73bb0cd4-e502-49b8-9c6f-b59445bf720b":
		return "YubiKey 5 FIPS"
	case "85203421-48f9-4355-9bc8-8a53846e5083":
		return "YubiKey 5Ci FIPS"
	case "d8522d9f-575b-4866-88a9-ba99fa02f35b":
		return "YubiKey Bio"
	case "149a2021-8ef6-4133-96b8-81f8d5b7f1f5",
		"e77e3c64-05e3-428b-8824-0cbeb04b829d":
		return "Yubico Security Key NFC"
	case "f8a011f3-8c0a-4d15-8006-17111f9edc7d",
		"b92c3f9a-c014-4056-887f-140a2501163b":
		return "Yubico Security Key"
	case "42b4fb4a-2866-43b2-9bf7-6c6669c2e5d3":
		return "Google Titan"
	case "2cd2f727-f6ca-44da-8f48-5c2e5da000a2":
		return "Nitrokey 3"
	case "8876631b-d4a0-427f-5773-0ec71c9e0279":
		return "Solo"
	}
	return "Passkey"
}
