with as_of_customers as (

    select * from {{ ref('int_as_of_customers') }}

),

as_of_months as (

    select * from {{ ref('int_as_of_months') }}

),

contacts as (

    select * from {{ ref('stg_service__contacts') }}

),

programmes as (

    select * from {{ ref('stg_crm__programme_enrolments') }}

),

inspections as (

    select * from {{ ref('stg_metering__inspections') }}

),

contact_sums as (

    select
        as_of_customers.customer_key,
        as_of_customers.as_of_month_number,
        count(
            case when as_of_customers.as_of_month_number - contacts.opened_month_number <= 2 then 1 end
        ) as contacts_3m_count,
        count(
            case when as_of_customers.as_of_month_number - contacts.opened_month_number <= 5 then 1 end
        ) as contacts_6m_count,
        count(*) as contacts_12m_count,
        count(
            case
                when
                    as_of_customers.as_of_month_number - contacts.opened_month_number <= 2
                    and contacts.topic in ('{{ var("billing_topics") | join("', '") }}')
                    then 1
            end
        ) as billing_contacts_3m_count,
        count(
            case
                when
                    as_of_customers.as_of_month_number - contacts.opened_month_number <= 5
                    and contacts.topic in ('{{ var("billing_topics") | join("', '") }}')
                    then 1
            end
        ) as billing_contacts_6m_count,
        count(
            case when contacts.topic in ('{{ var("billing_topics") | join("', '") }}') then 1 end
        ) as billing_contacts_12m_count,
        count(
            case
                when
                    contacts.topic in ('{{ var("dispute_topics") | join("', '") }}')
                    and (contacts.closed_at is null or contacts.closed_at > as_of_customers.as_of_at)
                    then 1
            end
        ) as open_disputes_12m_count,
        avg(contacts.satisfaction) as mean_satisfaction_12m
    from as_of_customers
    inner join contacts
        on
            as_of_customers.customer_key = contacts.customer_key
            and as_of_customers.as_of_month_number - contacts.opened_month_number <= 11
            and {{ is_visible_in('contacts', 'as_of_customers.as_of_month_number') }}
    group by as_of_customers.customer_key, as_of_customers.as_of_month_number

),

programme_sums as (

    select
        as_of_customers.customer_key,
        as_of_customers.as_of_month_number,
        count(distinct programmes.programme) as programmes_count
    from as_of_customers
    inner join programmes
        on
            as_of_customers.customer_key = programmes.customer_key
            and programmes.joined_date <= as_of_customers.month_end_date
            and (programmes.left_date is null or programmes.left_date >= as_of_customers.month_end_date)
            and {{ is_visible_in('programmes', 'as_of_customers.as_of_month_number') }}
    group by as_of_customers.customer_key, as_of_customers.as_of_month_number

),

inspection_sums as (

    select
        as_of_customers.customer_key,
        as_of_customers.as_of_month_number,
        count(*) as confirmed_breaches_24m_count
    from as_of_customers
    inner join inspections
        on
            as_of_customers.customer_key = inspections.customer_key
            and inspections.outcome in ('theft', 'tampering')
            and as_of_customers.as_of_month_number - {{ month_number('inspections.inspected_date') }} <= 23
            and {{ is_visible_in('inspections', 'as_of_customers.as_of_month_number') }}
    group by as_of_customers.customer_key, as_of_customers.as_of_month_number

),

-- "None" is a fact only where such records are delivered at all; elsewhere it is unknown.
final as (

    select
        as_of_customers.customer_key,
        as_of_customers.as_of_month_number,
        case when as_of_months.has_contacts then coalesce(contact_sums.contacts_3m_count, 0) end as contacts_3m_count,
        case when as_of_months.has_contacts then coalesce(contact_sums.contacts_6m_count, 0) end as contacts_6m_count,
        case when as_of_months.has_contacts then coalesce(contact_sums.contacts_12m_count, 0) end as contacts_12m_count,
        case
            when as_of_months.has_contacts then coalesce(contact_sums.billing_contacts_3m_count, 0)
        end as billing_contacts_3m_count,
        case
            when as_of_months.has_contacts then coalesce(contact_sums.billing_contacts_6m_count, 0)
        end as billing_contacts_6m_count,
        case
            when as_of_months.has_contacts then coalesce(contact_sums.billing_contacts_12m_count, 0)
        end as billing_contacts_12m_count,
        coalesce(contact_sums.open_disputes_12m_count, 0) > 0 as has_open_dispute,
        contact_sums.mean_satisfaction_12m,
        case
            when as_of_months.has_programmes then coalesce(programme_sums.programmes_count, 0)
        end as programmes_count,
        case
            when as_of_months.has_inspections then coalesce(inspection_sums.confirmed_breaches_24m_count, 0)
        end as confirmed_breaches_24m_count
    from as_of_customers
    inner join as_of_months
        on as_of_customers.as_of_month_number = as_of_months.as_of_month_number
    left join contact_sums
        on
            as_of_customers.customer_key = contact_sums.customer_key
            and as_of_customers.as_of_month_number = contact_sums.as_of_month_number
    left join programme_sums
        on
            as_of_customers.customer_key = programme_sums.customer_key
            and as_of_customers.as_of_month_number = programme_sums.as_of_month_number
    left join inspection_sums
        on
            as_of_customers.customer_key = inspection_sums.customer_key
            and as_of_customers.as_of_month_number = inspection_sums.as_of_month_number

)

select * from final
