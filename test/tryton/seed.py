"""Puts a company, products, warehouses, parties and a REST key into a fresh
Tryton database, and writes down what a client needs to know.

usage: seed.py DATABASE TRYTOND_CONF SEED_JSON BASE_URL FACTS_JSON
"""
import json
import sys
from decimal import Decimal

from proteus import Model, config


def company(cfg, name):
    currency = Model.get('currency.currency')(
        name="Euro", code='EUR', numeric_code='978', symbol="€",
        rounding=Decimal('0.01'))
    currency.save()
    party = Model.get('party.party')(name=name)
    party.save()
    made = Model.get('company.company')(party=party, currency=currency)
    made.save()
    join(Model.get('res.user')(cfg.user), made)
    cfg._context = Model.get('res.user').get_preferences(True, {})
    return made


def join(user, made):
    user.companies.append(Model.get('company.company')(made.id))
    user.company = made
    user.save()


def partner(code, name):
    party = Model.get('party.party')(name=name, code=code)
    if not party.addresses:
        party.addresses.new()
    party.save()
    return party


def location(code, name, type, parent=None, **values):
    made = Model.get('stock.location')(name=name, code=code, type=type)
    for field, value in values.items():
        setattr(made, field, value)
    if parent:
        made.parent = parent
    made.save()
    return made


def warehouse(spec, lost):
    """One storage location for what is sellable, siblings for other states."""
    code = spec['code']
    storage = location(f'{code}/storage', f"{code} storage", 'storage')
    made = location(
        code, code, 'warehouse',
        input_location=storage, output_location=storage,
        storage_location=storage, lost_found_location=lost)
    storage.parent = made
    storage.save()
    for name in spec.get('sublocations', []):
        location(f'{code}/{name}', f"{code} {name}", 'storage', made)


def product(sku, unit):
    template = Model.get('product.template')(
        name=sku, type='goods', default_uom=unit, list_price=Decimal('10'))
    variant = (
        template.products[0] if template.products else template.products.new())
    variant.suffix_code = sku
    variant.cost_price = Decimal('4')
    template.save()


def opening(spec, made):
    """What the ERP held before anybody posted to it."""
    Location, Move = Model.get('stock.location'), Model.get('stock.move')
    lost, = Location.find([('type', '=', 'lost_found')], limit=1)
    for line in spec:
        sku, = Model.get('product.product').find(
            [('code', '=', line['product'])])
        place, = Location.find([('code', '=', line['location'])])
        move = Move(
            product=sku, quantity=line['quantity'], from_location=lost,
            to_location=place, company=made)
        move.save()
        move.click('do')


def writer(made):
    """A user of its own for the REST key, with no more than it needs."""
    Group, User = Model.get('res.group'), Model.get('res.user')
    user = User(name="Stockweave", login='stockweave')
    for name in ("Stock", "Stock Force Assignment"):
        group, = Group.find([('name', '=', name)])
        user.groups.append(group)
    user.save()
    join(User(user.id), made)
    key = Model.get('res.user.application')(
        user=User(user.id), application='rest')
    key.save()
    if key.state != 'validated':
        key.click('validate_')
    return key.key


def main(database, conf, seed, url, facts):
    cfg = config.set_trytond(database, config_file=conf)
    with open(seed) as f:
        spec = json.load(f)
    made = company(cfg, spec['company'])
    partner('SUPPLIER', "Any supplier")
    partner('CUSTOMER', "Any customer")

    Location = Model.get('stock.location')
    fixed = {}
    for type in ('supplier', 'customer', 'lost_found'):
        found = Location.find([('type', '=', type)])[0]
        found.code = type
        found.save()
        fixed[type] = found
    for old in Location.find([('type', '=', 'warehouse')]):
        # The stock module brings one; a test wants only those it names.
        old.active = False
        old.save()
    for w in spec['warehouses']:
        warehouse(w, fixed['lost_found'])
    if spec.get('transit'):
        location(spec['transit'], "On the road", 'storage')
    unit, = Model.get('product.uom').find([('name', '=', 'Unit')])
    for sku in spec['products']:
        product(sku, unit)
    opening(spec.get('opening', []), made)
    key = writer(made)

    with open(facts, 'w') as f:
        json.dump({
                'url': url,
                'database': database,
                'key': key,
                'company': spec['company'],
                'supplier': 'SUPPLIER',
                'customer': 'CUSTOMER',
                'products': spec['products'],
                'locations': sorted(
                    l.code for l in Location.find([('code', '!=', None)])),
                }, f, indent=1)
        f.write('\n')


if __name__ == '__main__':
    main(*sys.argv[1:])
