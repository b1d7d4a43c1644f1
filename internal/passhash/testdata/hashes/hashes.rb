# See hashes.py. Devise keeps what BCrypt::Password.create returns.
require 'bcrypt'
require 'json'
JSON.parse(File.read('passwords.json')).each_with_index do |password, i|
  hash = BCrypt::Password.create(password, cost: 4)
  raise unless BCrypt::Password.new(hash) == password
  puts JSON.generate(by: "bcrypt-ruby #{Gem.loaded_specs['bcrypt'].version}", password: password, hash: hash)
  next unless i.zero?
  puts JSON.generate(by: 'bcrypt-ruby, default', password: password, hash: BCrypt::Password.create(password))
end
