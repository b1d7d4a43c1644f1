<?php // See hashes.py.
function show($passwords, $algorithm, $options) {
    foreach ($passwords as $password) {
        $hash = password_hash($password, $algorithm, $options);
        assert(password_verify($password, $hash));
        $by = 'PHP ' . PHP_VERSION . ($options ? '' : ', default');
        echo json_encode(['by' => $by, 'password' => $password, 'hash' => $hash], JSON_UNESCAPED_SLASHES), "\n";
    }
}
$passwords = json_decode(file_get_contents('passwords.json'));
foreach ([PASSWORD_BCRYPT, PASSWORD_ARGON2I, PASSWORD_ARGON2ID] as $algorithm) {
    show($passwords, $algorithm, $algorithm == PASSWORD_BCRYPT ? ['cost' => 4] : ['memory_cost' => 64, 'time_cost' => 2, 'threads' => 2]);
    show(array_slice($passwords, 0, 1), $algorithm, []);
}
