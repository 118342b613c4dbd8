{{ config(meta={
    'dagster': {'ref': {'name': 'int_bill_settlement_versions'}},
    'description':
        'Every amount that was paid for a bill settles it, up to what was billed; the rest is overpaid. ' ~
        'Nothing appears or vanishes.',
}) }}
with settlements as (

    select * from {{ ref('int_bill_settlement_versions') }}
    where visible_until_month_number is null

),

payments as (

    select
        bill_id,
        sum(paid_amount) as paid_amount
    from {{ ref('stg_billing__payments') }}
    where is_latest_version
    group by bill_id

)

select
    settlements.bill_id,
    settlements.billed_amount,
    settlements.allocated_amount,
    settlements.overpaid_amount,
    payments.paid_amount
from settlements
left join payments
    on settlements.bill_id = payments.bill_id
where
    settlements.allocated_amount > settlements.billed_amount
    or settlements.allocated_amount + settlements.overpaid_amount <> greatest(coalesce(payments.paid_amount, 0), 0)
